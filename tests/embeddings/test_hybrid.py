import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.embeddings import HybridHash
from tablefree.errors import InputError


def test_frequent_ids_have_their_own_rows_and_the_others_two_shared_ones():
    frequent = torch.tensor([42, -7, 2**62])
    embedding = HybridHash(20, 5, frequent_ids=frequent, seed="item_id")
    ids = torch.tensor([0, 42, 1, -7, 2**62, 2**62 + 1, -(2**63)])
    expected = []
    for id_, picked in zip(ids.tolist(), embedding.buckets(ids), strict=True):
        if id_ in frequent.tolist():
            expected.append(embedding.frequent_rows.weight[sorted(frequent.tolist()).index(id_)])
        else:
            expected.append(embedding.rows.weight[picked].sum(0))
    torch.testing.assert_close(embedding(ids), torch.stack(expected))
    assert embedding.num_parameters == (3 + 20) * 5


@settings(max_examples=20, deadline=None)
@given(frequent=st.sets(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=40))
def test_frequent_ids_never_share_rows(frequent):
    ids = torch.tensor(list(frequent))
    embedding = HybridHash(2, 5, frequent_ids=ids, seed=0)
    assert len(embedding(ids).unique(dim=0)) == len(frequent)
    embedding(ids).sum().backward()
    assert (embedding.frequent_rows.weight.grad == 1).all()
    assert (embedding.rows.weight.grad == 0).all()


def test_frequent_ids_are_state_and_are_counted():
    embedding = HybridHash(20, 5, frequent_ids=torch.tensor([5, 3]), seed=0)
    assert torch.equal(embedding.state_dict()["frequent_ids"], torch.tensor([3, 5]))
    assert embedding.describe().num_bytes == (2 + 20) * 5 * 4 + 2 * 8
    other = HybridHash(20, 5, frequent_ids=torch.tensor([1, 2]), seed=0)
    other.load_state_dict(embedding.state_dict())
    ids = torch.arange(8)
    assert torch.equal(other(ids), embedding(ids))


@pytest.mark.parametrize(
    ("frequent", "message"),
    [
        (torch.empty(0, dtype=torch.int64), r"shape \(0,\) with 0 distinct ids"),
        (torch.tensor([1, 2, 1]), r"shape \(3,\) with 2 distinct ids"),
        (torch.tensor([[1, 2]]), r"shape \(1, 2\) with 2 distinct ids"),
        (torch.tensor([1.0]), "ids must be an integer tensor, got torch.float32"),
    ],
)
def test_bad_frequent_ids_are_named(frequent, message):
    with pytest.raises(InputError, match=message):
        HybridHash(20, 5, frequent_ids=frequent, seed=0)


def test_frequent_and_other_ids_are_scaled_alike():
    embedding = HybridHash(9, 4, frequent_ids=torch.tensor([7, 42]), seed="item_id")
    ids = torch.tensor([7, 42, 1, 2])
    before, std = embedding(ids), embedding.std
    embedding.rescale(3.0)
    torch.testing.assert_close(embedding(ids), 3 * before)
    assert embedding.std == 3 * std
