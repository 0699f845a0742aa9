import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tablefree.embeddings import DecodedEmbedding, from_config
from tablefree.encodings import HashBuckets
from tablefree.encodings.ablation import BinaryDigits, OneHotHash, ScaledId
from tablefree.errors import InputError

any_id = st.integers(-(2**63), 2**63 - 1)
every = pytest.mark.parametrize(
    "encoding", [BinaryDigits(), ScaledId(-5, 2**62), OneHotHash(9, seed="item_id")]
)


@given(any_id)
def test_the_digits_say_the_id(number):
    digits = BinaryDigits()(torch.tensor(number))
    assert digits.abs().eq(1).all()
    assert sum((digit > 0) << place for place, digit in enumerate(digits.tolist())) == (
        number % 2**64
    )


def test_a_scaled_id_keeps_the_order_from_end_to_end():
    ids = torch.tensor([-(2**63), -7, 0, 2**62, 2**63 - 1])
    places = ScaledId(-(2**63), 2**63 - 1)(ids).flatten()
    assert torch.equal(places, torch.tensor([-1.0, 0.0, 0.0, 0.5, 1.0]))
    assert ScaledId(1, 3)(torch.tensor([1, 2, 3])).tolist() == [[-1.0], [0.0], [1.0]]


def test_a_one_hot_code_is_the_bucket():
    ids = torch.arange(50)
    buckets = HashBuckets(1, 9, seed="item_id")(ids)[:, 0]
    codes = OneHotHash(9, seed="item_id")(ids)
    assert torch.equal(codes.argmax(dim=1), buckets)
    assert codes.sum() == len(ids)


@every
def test_it_is_an_encoding_of_ids_of_any_shape(encoding):
    ids = torch.tensor([[3, -4, 5], [6, 7, 2**60]])
    codes = encoding(ids)
    assert codes.shape == (2, 3, encoding.width)
    assert codes.dtype == torch.float32
    assert torch.equal(codes[1, 2], encoding(ids[1, 2]))
    with pytest.raises(InputError, match="ids"):
        encoding(torch.rand(3))


@every
def test_it_is_built_again_from_its_configuration(encoding):
    embedding = DecodedEmbedding(4, [encoding], hidden=(5,))
    again = from_config(embedding.config())
    again.load_state_dict(embedding.state_dict())
    ids = torch.tensor([3, -4, 2**60])
    assert torch.equal(again(ids), embedding(ids))


@every
def test_its_components_have_about_the_standard_deviation_it_says(encoding):
    if isinstance(encoding, ScaledId):
        encoding = ScaledId(-(2**63), 2**63 - 1)
    ids = torch.randint(-(2**63), 2**63 - 1, (4000,), generator=torch.Generator().manual_seed(0))
    assert encoding(ids).square().mean().sqrt().item() == pytest.approx(encoding.std, rel=0.05)


def test_no_room_for_a_scaled_id_is_refused():
    with pytest.raises(InputError, match="lowest must be below highest, got 3 and 3"):
        ScaledId(3, 3)
