import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.encodings.row_claims import FREE, REFUSED, SLOTS, RowClaims, find_in
from tablefree.errors import CapacityWarning, CheckpointError, InputError

# Most of these ask for more rows than there are.
pytestmark = pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
INT64 = st.integers(-(2**63), 2**63 - 1)


def claimed(num_rows, ids, seed="item"):
    claims = RowClaims(num_rows, seed=seed)
    return claims, claims.claim(ids)


@settings(max_examples=30, deadline=None)
@given(st.lists(INT64, max_size=200), st.integers(1, 8))
def test_every_id_owns_a_row_of_its_own_or_was_refused(values, num_buckets):
    ids = torch.tensor(values, dtype=torch.int64)
    claims, rows = claimed(num_buckets * SLOTS, ids)
    assert torch.equal(claims(ids), rows)
    distinct = torch.unique(ids)
    owned = claims(distinct)
    assert ((owned == REFUSED) | (owned >= 0)).all()
    taken = owned[owned >= 0]
    assert (taken < claims.capacity).all()
    assert len(taken.unique()) == len(taken)  # false owners are one in 2,000


def test_rows_are_kept():
    claims, rows = claimed(1600, torch.arange(1000))
    claims.claim(torch.arange(1000, 5000))
    assert torch.equal(claims(torch.arange(1000)), rows)


def test_nearly_all_rows_can_be_given_away():
    claims, rows = claimed(16_000, torch.arange(15_200))
    assert (rows < 0).float().mean() < 0.015
    claims.claim(torch.arange(15_200, 40_000))
    assert (claims.fingerprints.view(torch.int16) != 0).float().mean() > 0.999


def test_ids_that_never_asked_own_nothing():
    claims, _ = claimed(16_000, torch.arange(8_000))
    strangers = claims(torch.arange(10**6, 10**6 + 100_000))
    assert (strangers >= 0).float().mean() < 1 / 2000
    assert (strangers[strangers < 0] == FREE).all()


def test_strangers_of_a_full_map_may_have_been_refused():
    claims, _ = claimed(160, torch.arange(1000))
    assert (claims(torch.arange(2000, 2100)) != FREE).all()


def test_looking_up_claims_nothing():
    claims = RowClaims(160, seed=0)
    assert (claims(torch.arange(50)) == FREE).all()
    assert not claims.fingerprints.any()


def test_the_kernel_finds_what_the_operators_find():
    ids = torch.arange(-900, 900) * 2**40
    claims, _ = claimed(960, ids[:1000])
    rows = claims(ids)
    assert (rows == FREE).any()
    assert (rows == REFUSED).any()
    assert torch.equal(find_in(claims.slots, claims.hashes, ids), rows)
    assert torch.equal(claims(ids.flip(0)), rows.flip(0))


@settings(max_examples=30, deadline=None)
@given(st.lists(INT64, max_size=200, unique=True), st.integers(1, 8))
def test_the_kernel_gives_what_the_operators_give(values, num_buckets):
    kernel, operators = (RowClaims(num_buckets * SLOTS, seed="item") for _ in range(2))
    for part in torch.tensor(values, dtype=torch.int64).tensor_split(3):
        new = part[kernel(part) == FREE]
        kernel.give(new)
        operators._give(new)
        assert torch.equal(kernel.fingerprints, operators.fingerprints)


@pytest.mark.parametrize("num_ids", [0, 1])
def test_few_ids(num_ids):
    claims, rows = claimed(16, torch.zeros(num_ids, dtype=torch.int64))
    assert len(rows) == num_ids
    assert (rows >= 0).all()
    assert torch.equal(
        find_in(claims.slots, claims.hashes, torch.zeros(num_ids, dtype=torch.int64)), rows
    )


def test_the_claims_travel_in_the_state_dict():
    claims, rows = claimed(160, torch.arange(100))
    other = RowClaims(160, seed="item")
    other.load_state_dict(claims.state_dict())
    assert torch.equal(other(torch.arange(100)), rows)
    with pytest.raises(CheckpointError, match="seed"):
        RowClaims(160, seed="user").load_state_dict(claims.state_dict())


@pytest.mark.parametrize(("num_rows", "message"), [(0, "capacity"), (17, "capacity of 17: use 32")])
def test_bad_sizes_are_named(num_rows, message):
    with pytest.raises(InputError, match=message):
        RowClaims(num_rows, seed=0)


def test_it_is_said_once_that_all_rows_are_taken():
    claims = RowClaims(160, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        claims.claim(torch.arange(150))
        assert 140 < claims.num_claimed <= 150
    with pytest.warns(CapacityWarning, match=r"new ids share rows.*Call grow\(capacity\)"):
        claims.claim(torch.arange(150, 300))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        claims.claim(torch.arange(300, 400))
