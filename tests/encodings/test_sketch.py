import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from tablefree.embeddings import FullTable, HashingTrick, SketchEmbedding, from_config
from tablefree.encodings import SketchEncoding
from tablefree.encodings.sketch import MANY_ROWS
from tablefree.errors import CheckpointError, InputError
from tablefree.rows import RowAdam


def sketch(**options):
    return SketchEncoding(4, 3, capacity=160, seed="item", **options)


def learn(encoding, ids, optimizer=None):
    """One step on the ids."""
    optimizer = optimizer or torch.optim.AdamW(encoding.parameters(), lr=0.1)
    encoding.train()
    optimizer.zero_grad()
    (encoding(ids) - 1).square().sum().backward()
    optimizer.step()


def looked(encoding, ids):
    with torch.no_grad():
        return encoding(ids)


def test_it_adds_the_rows_that_the_hashes_pick():
    encoding = SketchEncoding(50, 3, num_hashes=4, seed="item")
    ids = torch.tensor([[5, -7], [2**62, 5]])
    tables = encoding.rows.weight.view(4, 50, 3)
    buckets = encoding.buckets(ids)
    expected = sum(tables[h][buckets[..., h]] for h in range(4))
    torch.testing.assert_close(encoding(ids), expected)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0), (3, 4)])
def test_any_shape(shape):
    assert SketchEncoding(50, 3, seed=0)(torch.zeros(shape, dtype=torch.int64)).shape == (*shape, 3)


def test_a_code_touches_only_its_rows():
    for sparse in (False, True):
        encoding = SketchEncoding(1000, 2, seed=0, sparse=sparse)
        encoding(torch.tensor([3, 4])).sum().backward()
        gradient = encoding.rows.weight.grad
        assert gradient.is_sparse == sparse
        touched = gradient.to_dense().abs().sum(1).nonzero()
        assert len(touched) == 8


def test_the_code_starts_at_the_common_scale():
    torch.manual_seed(0)
    codes = SketchEncoding(5000, 8, seed=0)(torch.arange(5000))
    assert codes.std().item() == pytest.approx(1, rel=0.05)


def test_other_hash_functions_are_refused():
    state = SketchEncoding(50, 3, seed="item").state_dict()
    with pytest.raises(CheckpointError, match="seed"):
        SketchEncoding(50, 3, seed="user").load_state_dict(state)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="num_rows"):
        SketchEncoding(0, 3, seed=0)
    with pytest.raises(InputError, match="float"):
        SketchEncoding(5, 3, seed=0)(torch.rand(3))


def test_ids_met_in_training_have_rows_of_their_own():
    encoding = SketchEncoding(4, 3, capacity=160, seed="item")
    ids = torch.tensor([[5, -7], [2**62, 5]])
    codes = encoding(ids)
    rows = encoding.claims(ids.flatten()) + 16
    torch.testing.assert_close(codes, encoding.rows.weight[rows].view(2, 2, 3))
    codes.sum().backward()
    assert encoding.rows.weight.grad.abs().sum(1).nonzero().flatten().tolist() == sorted(
        set(rows.tolist())
    )
    with torch.no_grad():
        encoding.rows.weight += 1
    assert torch.equal(encoding.eval()(ids), codes + 1)


def test_an_id_never_trained_is_neutral():
    encoding = sketch()
    learn(encoding, torch.arange(50))
    encoding.eval()
    assert not encoding(torch.arange(1000, 1010)).any()
    assert encoding(torch.tensor([7, 1000])).any(1).tolist() == [True, False]


@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
def test_an_id_that_came_too_late_adds_shared_rows():
    encoding = SketchEncoding(50, 3, num_hashes=2, capacity=16, seed="item")
    encoding(torch.arange(16))
    late = torch.arange(16, 40)
    codes = encoding(late)
    torch.testing.assert_close(codes, encoding.rows.weight[encoding.picks(late)].sum(1))
    both = encoding(torch.tensor([20, 3]))
    torch.testing.assert_close(both[0], codes[4])
    torch.testing.assert_close(both[1:], encoding(torch.tensor([3])))


@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
def test_own_rows_start_at_the_scale_of_shared_ones():
    torch.manual_seed(0)
    encoding = SketchEncoding(2000, 8, capacity=1600, seed=0)
    own, shared = encoding(torch.arange(1000)), encoding(torch.arange(10_000, 20_000))
    assert own.std().item() == pytest.approx(encoding.std, rel=0.05)
    assert shared[encoding.claims(torch.arange(10_000, 20_000)) < 0].std().item() == pytest.approx(
        encoding.std, rel=0.05
    )


@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
@pytest.mark.parametrize("capacity", [0, 160])
@pytest.mark.parametrize("num_rows", [50, 64])
def test_inference_gives_the_codes_of_training(capacity, num_rows):
    encoding = SketchEncoding(num_rows, 3, capacity=capacity, seed="item")
    learn(encoding, torch.arange(300))  # more than there are rows
    encoding.rows.decay(0.5)
    ids = torch.arange(-50, 400)
    expected = encoding.eval()(ids)
    assert expected.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(encoding(ids), expected)
        torch.testing.assert_close(encoding(ids.view(9, 50)), expected.view(9, 50, 3))
        assert torch.equal(encoding(ids[::7]), encoding(ids)[::7])


def frozen_in_a_model(encoding):
    return nn.ModuleList([encoding.requires_grad_(False)]).train()[0]


@pytest.mark.parametrize(
    "look",
    [
        lambda encoding, ids: encoding.eval()(ids),
        lambda encoding, ids: looked(encoding, ids),
        lambda encoding, ids: encoding.requires_grad_(False)(ids),
        lambda encoding, ids: encoding.rows.requires_grad_(False)(ids) is encoding(ids),
        lambda encoding, ids: frozen_in_a_model(encoding)(ids),
        lambda encoding, ids: torch.inference_mode()(encoding)(ids),
        lambda encoding, ids: copy.deepcopy(encoding)(ids),
    ],
)
def test_what_does_not_learn_claims_nothing(look):
    encoding = sketch()
    look(encoding, torch.tensor([3, 4]))
    assert not encoding.claims.fingerprints.any()
    assert not looked(encoding, torch.tensor([3, 4])).any()


def backward(encoding, ids):
    encoding(ids).square().sum().backward()
    encoding.zero_grad()


LOOKS = {
    "forward": lambda encoding, ids: encoding(ids),
    "backward": backward,
    "twice": lambda encoding, ids: encoding(ids) + encoding(ids),
    "checkpointed": lambda encoding, ids: checkpoint(encoding, ids, use_reentrant=False),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
@pytest.mark.parametrize("others_learn", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_an_id_that_was_looked_at_stays_neutral_until_a_step(look, others_learn, sparse):
    encoding = sketch(sparse=sparse)
    optimizer = (
        torch.optim.SparseAdam(encoding.parameters(), lr=0.1)
        if sparse
        else torch.optim.AdamW(encoding.parameters(), lr=0.1, fused=True)
    )
    ids = torch.tensor([3, 4])
    learn(encoding, torch.arange(10, 20), optimizer)
    look(encoding, ids)
    if others_learn and look is not backward:
        learn(encoding, torch.arange(20, 30), optimizer)
    for mode in (True, False):
        assert not looked(encoding.train(mode), ids).any()
    assert not encoding(ids).any()  # with gradients, in evaluation
    assert looked(encoding, torch.arange(10, 20)).any(1).all()
    for other in (copy.deepcopy(encoding), pickle.loads(pickle.dumps(encoding)), sketch()):
        other.load_state_dict(encoding.state_dict())
        assert not looked(other.eval(), ids).any()
        assert looked(other, torch.arange(10, 20)).any(1).all()
    learn(encoding, ids, optimizer)
    assert looked(encoding.eval(), ids).any(1).all()
    assert looked(encoding, torch.arange(10, 20)).any(1).all()


def test_what_a_step_was_taken_on_has_learnt_whatever_takes_it():
    encoding, ids = sketch(), torch.tensor([3, 4])
    encoding(ids).sum().backward()
    with torch.no_grad():  # no optimizer at all
        encoding.rows.weight -= 0.1 * encoding.rows.weight.grad
    codes = looked(encoding, ids)
    assert codes.any(1).all()
    assert torch.equal(looked(encoding.eval(), ids), codes)
    state = encoding.state_dict()
    other = sketch().eval()
    other.load_state_dict(state)
    assert torch.equal(looked(other, ids), codes)


def test_gradients_may_be_summed_over_passes_before_a_step():
    encoding, optimizer = sketch(), None
    optimizer = torch.optim.SGD(encoding.parameters(), lr=0.1)
    for ids in ([3, 4], [4, 5], [6]):
        encoding(torch.tensor(ids)).sum().backward()
    optimizer.step()
    assert looked(encoding.eval(), torch.tensor([3, 4, 5, 6])).any(1).all()
    assert not len(encoding.claims.unlearnt)


def test_saving_and_inference_leave_the_claims_as_they_are():
    encoding, ids = sketch(), torch.tensor([3, 4])
    encoding(ids)
    before = encoding.claims.fingerprints.clone()
    assert not encoding.state_dict()["claims.fingerprints"].any()
    looked(encoding, ids)
    assert torch.equal(encoding.claims.fingerprints, before)
    assert len(encoding.claims.unlearnt) == 2


def test_it_tells_how_full_it_is():
    encoding = sketch()
    assert (encoding.capacity, encoding.num_claimed, encoding.load) == (160, 0, 0.0)
    encoding(torch.arange(40))
    assert (encoding.num_claimed, encoding.load) == (40, 0.25)
    plain = SketchEncoding(4, 3, seed=0)
    assert (plain.capacity, plain.num_claimed, plain.load) == (0, 0, 0.0)


def test_gradients_are_sparse_where_rows_are_many():
    with torch.device("meta"):
        for size, sparse, expected in (
            (MANY_ROWS, None, True),
            (MANY_ROWS - 16, None, False),
            (MANY_ROWS, False, False),
            (160, True, True),
        ):
            encoding = SketchEncoding(1, 2, num_hashes=1, capacity=size, seed=0, sparse=sparse)
            assert encoding.config()["sparse"] == encoding.rows.sparse == expected


def test_configurations_of_the_former_name_are_read():
    config = sketch().config()
    config["own_rows"] = config.pop("capacity")
    decoded = from_config({"method": "decoded", "embedding_dim": 4, "encodings": [config]})
    assert decoded.encodings[0].capacity == 160


def test_sizes_may_be_integers_of_numpy(tmp_path):
    sizes = np.array([9, 2, 16])
    embedding = SketchEmbedding(
        sizes[2], num_rows=sizes[0], code_width=sizes[1], capacity=sizes[2], seed=np.int64(3)
    )
    embedding.save_pretrained(tmp_path)
    loaded = SketchEmbedding.from_pretrained(tmp_path)
    assert torch.equal(loaded(torch.arange(9)), embedding.eval()(torch.arange(9)))
    table = FullTable(sizes[0], sizes[1])
    table.save_pretrained(tmp_path)
    assert torch.equal(FullTable.from_pretrained(tmp_path).rows.weight, table.rows.weight)
    with pytest.raises(InputError, match="num_buckets must be an int, got int64"):
        HashingTrick(sizes[0], sizes[1], seed="a")


@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
def test_a_sketch_that_grows_keeps_its_rows_and_has_more(tmp_path):
    embedding = SketchEmbedding(4, num_rows=9, code_width=2, capacity=160, seed="item")
    encoding, old = embedding.encoding, torch.arange(400)
    learn(encoding, old)
    kept = encoding.claims(old)
    codes = looked(encoding.eval(), old)
    embedding.grow(600)
    assert (embedding.capacity, encoding.rows.num_embeddings) == (608, 608 + 36)
    has_row = kept >= 0
    assert torch.equal(encoding.claims(old)[has_row], kept[has_row])
    assert torch.equal(looked(encoding, old)[has_row], codes[has_row])
    assert not looked(encoding, old)[~has_row].any()
    learn(encoding, old)
    rows = encoding.claims(old)
    assert (rows >= 0).float().mean() > 0.98
    assert len(rows[rows >= 0].unique()) == (rows >= 0).sum()
    assert encoding.num_claimed == (rows >= 0).sum()
    encoding(torch.arange(400, 420))  # which nothing is learnt of
    embedding.eval().grow(1000)
    learn(encoding, torch.arange(500, 900))
    ids = torch.arange(1000)
    expected = looked(embedding.eval(), ids)
    torch.testing.assert_close(embedding(ids).detach(), expected)
    embedding.save_pretrained(tmp_path)
    loaded = SketchEmbedding.from_pretrained(tmp_path)
    assert loaded.config() == embedding.config()
    torch.testing.assert_close(looked(loaded, ids), expected)


def test_what_is_no_growth_is_refused():
    with pytest.raises(InputError, match="from its capacity, 160, to a larger one, got 160"):
        sketch().grow(160)
    with pytest.raises(InputError, match="build it with a capacity"):
        SketchEncoding(4, 3, seed=0).grow(160)


def test_ids_that_come_once_get_no_row_if_they_are_to_come_more_often():
    encoding = SketchEncoding(4, 2, capacity=1600, sightings=3, seed="item")
    regulars = torch.arange(100)
    for junk in torch.arange(10**6, 10**6 + 6000).split(500):
        learn(encoding, torch.cat([regulars, junk]))
    is_regular = encoding.claims(regulars) >= 0
    assert is_regular.all()
    assert encoding.num_claimed < 500
    other = from_config({"method": "decoded", "embedding_dim": 4, "encodings": [encoding.config()]})
    other.encodings[0].load_state_dict(encoding.state_dict())
    assert torch.equal(
        looked(other.encodings[0].eval(), regulars), looked(encoding.eval(), regulars)
    )


def test_an_id_is_neutral_until_it_was_seen_often_enough():
    encoding = SketchEncoding(4, 2, capacity=160, sightings=2, seed="item")
    ids = torch.tensor([3, 3, 4])
    assert not encoding(ids).any()
    assert encoding(ids[1:2]).any()
    for wrong in (0, 256, 1.5):
        with pytest.raises(InputError, match="sightings"):
            SketchEncoding(4, 2, capacity=160, sightings=wrong, seed="item")


@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
def test_threads_may_save_and_infer_beside_a_training():
    def train(watch):
        torch.manual_seed(0)
        encoding = SketchEncoding(50, 4, capacity=16_000, sparse=True, seed="item")
        optimizer = RowAdam([encoding.rows], lr=0.03, weight_decay=0.3)
        done, errors = threading.Event(), []

        def watching():
            while not done.is_set():
                try:
                    encoding.state_dict()
                    looked(encoding, torch.arange(500))
                except Exception as error:
                    errors.append(error)

        thread = threading.Thread(target=watching)
        if watch:
            thread.start()
        for step in range(60):
            learn(encoding, torch.arange(200) + 100 * step, optimizer)
        done.set()
        if watch:
            thread.join()
        assert not errors
        return looked(encoding.eval(), torch.arange(6000))

    assert torch.equal(train(watch=True), train(watch=False))
