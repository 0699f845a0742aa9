import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.encodings import HashBuckets
from tablefree.errors import CheckpointError, InputError
from tablefree.hashing import FAMILIES
from tablefree.kernels import reference

MILLIONS = 20_000_000


@settings(deadline=None, max_examples=30)
@given(st.permutations(range(30)), st.sampled_from(FAMILIES))
def test_permuting_ids_permutes_rows(order, family):
    buckets = HashBuckets(4, 100, seed="user", family=family)
    assert torch.equal(buckets(torch.tensor(order)), buckets(torch.arange(30))[list(order)])


def test_equals_the_reference_for_a_seed_beyond_63_bits():
    module = HashBuckets(3, 1000, seed=2**64 - 5)
    expected = reference.hash_buckets(np.arange(9), 2**64 - 5, "multiply_shift", 3, 1000)
    assert module(torch.arange(9)).tolist() == expected.tolist()


@pytest.mark.parametrize("ids", [torch.tensor([1.0]), torch.tensor([True]), torch.ones(1) * 1j])
def test_ids_that_are_not_integers_are_refused(ids):
    with pytest.raises(InputError, match="ids must be an integer tensor, got torch"):
        HashBuckets(2, 10, seed=0)(ids)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("which", ["consecutive", "random"])
def test_twenty_million_ids_have_different_codes(family, which):
    """At k = 8, m = 2^20: already the first 64 bits of an id's 160 tell it from all others.

    For random functions that fails with a chance of n^2 / 2^65, or 1 in 90,000.
    """
    buckets = HashBuckets(8, 2**20, seed="item", family=family)
    packed = np.empty(MILLIONS, np.uint64)
    random = np.random.default_rng(1)
    for start in range(0, MILLIONS, 500_000):
        part = slice(start, start + 500_000)
        ids = np.arange(start, start + 500_000)
        if which == "random":
            ids = random.integers(-(2**63), 2**63 - 1, ids.size)
        codes = buckets(torch.from_numpy(ids))
        first = codes[:, 0] | codes[:, 1] << 20 | codes[:, 2] << 40 | codes[:, 3] << 60
        packed[part] = first.numpy().view(np.uint64)
    packed.sort()
    assert not np.any(packed[1:] == packed[:-1])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("distance", [1, 1_000_003, 2**32, 2**61 - 1])
def test_ids_at_a_distance_share_no_more_buckets_than_chance(family, distance):
    buckets = HashBuckets(8, 2**20, seed=0, family=family)
    ids = torch.arange(100_000)
    shared = buckets(ids) == buckets(ids + distance)
    assert shared.sum() <= 10  # 800,000 pairs, 0.8 expected
    assert not shared.all(dim=1).any()


@pytest.mark.parametrize("family", FAMILIES)
def test_consecutive_ids_do_not_lie_on_a_line(family):
    buckets = HashBuckets(4096, 2**20, seed=0, family=family)(torch.arange(1000))
    bends = (buckets[2:] - 2 * buckets[1:-1] + buckets[:-2]) % 2**20
    assert (bends == 0).sum() <= 30  # 4 million bends, 3.9 expected
    steps = (buckets[1:, 0] - buckets[:-1, 0]) % 2**20
    assert steps.unique().numel() > 990


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("num_buckets", [1000, 10_007])
def test_buckets_are_uniform_when_their_number_is_no_power_of_two(family, num_buckets):
    buckets = HashBuckets(4, num_buckets, seed=1, family=family)(torch.arange(500_000))
    for column in buckets.T:
        counts = torch.bincount(column, minlength=num_buckets).double()
        mean = 500_000 / num_buckets
        statistic = ((counts - mean) ** 2 / mean).sum().item()
        freedom = num_buckets - 1
        assert abs(statistic - freedom) < 5 * (2 * freedom) ** 0.5  # chi-square, 5 sigma


def test_there_is_nothing_to_train_and_nothing_kept_for_an_id():
    module = HashBuckets(4, 100, seed=0)
    assert list(module.parameters()) == list(module.buffers()) == []
    assert list(module.state_dict()) == ["_extra_state"]


def test_the_state_is_canonical_json():
    text = bytes(HashBuckets(4, 100, seed=-1).get_extra_state().tolist()).decode()
    assert text == (
        '{"contract_version":1,"family":"multiply_shift","num_buckets":100,"num_hashes":4,'
        '"seed":18446744073709551615}'
    )


def test_a_checkpoint_of_the_same_functions_loads():
    HashBuckets(4, 100, seed="item").load_state_dict(HashBuckets(4, 100, seed="item").state_dict())


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (HashBuckets(4, 100, seed="user"), "seed is"),
        (HashBuckets(5, 100, seed="item"), "num_hashes is 5 in the checkpoint and 4 in the module"),
        (HashBuckets(4, 101, seed="item"), "num_buckets is 101"),
        (HashBuckets(4, 100, seed="item", family="carter_wegman"), "family is 'carter_wegman'"),
    ],
    ids=["seed", "num_hashes", "num_buckets", "family"],
)
def test_a_checkpoint_of_other_functions_is_refused_by_name(other, field):
    with pytest.raises(CheckpointError, match=field) as error:
        HashBuckets(4, 100, seed="item").load_state_dict(other.state_dict())
    assert str(error.value).count("in the checkpoint and") == 1


def test_another_contract_version_is_refused_by_name():
    module = HashBuckets(4, 100, seed="item")
    text = json.dumps(module.contract | {"contract_version": 2, "salt": 3})
    state = torch.tensor(list(text.encode()), dtype=torch.uint8)
    with pytest.raises(CheckpointError, match=r"version is 2 .* 1 in.*; salt is 3 .* None in"):
        module.load_state_dict({"_extra_state": state})


@pytest.mark.parametrize("state", [torch.tensor([1, 2], dtype=torch.uint8), torch.ones(1), None])
def test_a_damaged_contract_is_refused(state):
    with pytest.raises(CheckpointError, match="cannot be read"):
        HashBuckets(4, 100, seed=0).set_extra_state(state)


def test_a_checkpoint_without_a_contract_is_refused():
    with pytest.raises(RuntimeError, match=r"Missing key.*_extra_state"):
        HashBuckets(4, 100, seed=0).load_state_dict({})


def test_printing_shows_the_configuration():
    shown = "HashBuckets(family='multiply_shift', seed=3, num_hashes=4, num_buckets=100)"
    assert repr(HashBuckets(4, 100, seed=3)) == shown
