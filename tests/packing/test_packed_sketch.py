import copy

import pytest
import torch

from tablefree import ClaimedRows, InputError, SketchEmbedding, pack, unpack
from tablefree.encodings.row_claims import FREE, REFUSED

from .conftest import FORMS, trained

pytestmark = pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
IDS = torch.cat([torch.arange(900) * 7919, -torch.arange(1, 200)])  # met, and never met


@pytest.mark.parametrize("form", FORMS)
def test_owners_sharers_and_strangers(claimed, form):
    places = claimed.encoding.claims(IDS)
    assert (places >= 0).any()
    assert (places == REFUSED).any()
    packed = pack(claimed, form=form)
    rows = packed(IDS)
    plain = unpack(packed)
    assert torch.equal(plain.encoding.claims(IDS), places)
    assert torch.equal(rows, plain(IDS))
    assert torch.equal(packed(IDS[3:4]), rows[3:4])
    assert torch.equal(packed(IDS.repeat(2)), rows.repeat(2, 1))
    assert packed(IDS[:0]).shape == (0, 8)


@pytest.mark.parametrize("form", FORMS)
def test_the_kernel_finds_what_torch_finds(claimed, form, monkeypatch):
    packed = pack(claimed, form=form)
    fast = packed(IDS)
    monkeypatch.setattr(type(packed.encoding), "_is_fast", lambda *_: False)
    assert torch.equal(packed(IDS), fast)


def test_an_id_that_training_never_met_is_neutral(sketch):
    strangers = -torch.arange(1, 20_000)
    free = strangers[sketch.encoding.claims(strangers) == FREE]
    assert len(free) > 10_000
    packed = pack(sketch, form="residual-2x4")
    assert not packed.encoding(free).any()


@pytest.mark.parametrize("form", ["int8", "product-2x5", "residual-2x8"])
def test_a_grown_sketch_is_packed_with_all_its_maps(claimed, form):
    grown = copy.deepcopy(claimed)
    grown.grow(960)
    trained(grown, torch.arange(900, 1500) * 7919)
    ids = torch.cat([IDS, torch.arange(900, 1500) * 7919])
    packed = pack(grown, form=form)
    assert (packed.capacity, packed.num_claimed) == (grown.capacity, grown.num_claimed)
    assert torch.equal(packed(ids), unpack(packed)(ids))
    assert torch.equal(unpack(packed).encoding.claims(ids), grown.encoding.claims(ids))


def test_rows_that_have_not_learnt_are_left_out():
    embedding = ClaimedRows(160, 8, num_rows=4, seed="x")
    embedding(torch.arange(50))  # claims, without a step
    embedding.encoding.claims.unlearnt  # noqa: B018
    packed = pack(embedding, form="int8")
    assert not packed(torch.arange(50)).any()


def test_a_plain_sketch_has_shared_rows_alone():
    torch.manual_seed(0)
    plain = SketchEmbedding(8, num_rows=50, code_width=4, hidden=(8,), seed="x")
    packed = pack(plain, form="levels-4")
    assert torch.equal(packed(IDS), unpack(packed)(IDS))


def test_a_packed_embedding_tells_its_configuration_as_often_as_asked(claimed, sketch):
    for embedding in (claimed, sketch):
        packed = pack(embedding, form="int8")
        for _ in range(2):
            assert packed.config() == embedding.config()


def test_unpacked_rows_learn_again(claimed):
    plain = unpack(pack(claimed, form="residual-2x8"))
    before = plain(IDS[:100]).detach().clone()
    trained(plain, IDS[:100])
    assert not torch.equal(plain(IDS[:100]), before)


def test_packed_rows_do_not_grow_or_learn(claimed):
    packed = pack(claimed, form="int4")
    with pytest.raises(InputError, match=r"packed rows do not grow: `tablefree\.unpack`"):
        packed.grow(2000)
    with pytest.raises(InputError, match="packed rows do not learn"):
        packed.rescale(2.0)
    assert packed.train()(IDS[-5:]).shape == (5, 8)  # claims nothing
    assert packed.num_claimed == claimed.num_claimed
