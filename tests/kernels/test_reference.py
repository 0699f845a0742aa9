import json
from pathlib import Path

import numpy as np
import pytest

from tablefree.hashing import FAMILIES, MERSENNE_61, coefficients
from tablefree.kernels import reference

IDS = np.arange(200_000)


def chi_square(buckets: np.ndarray, num_buckets: int) -> float:
    """The statistic of uniformity in standard deviations from its mean."""
    counts = np.bincount(buckets, minlength=num_buckets)
    mean = buckets.size / num_buckets
    statistic = ((counts - mean) ** 2 / mean).sum()
    return float((statistic - (num_buckets - 1)) / np.sqrt(2 * (num_buckets - 1)))


def test_golden_vectors():
    path = Path(__file__).parents[1] / "golden" / "hash_vectors.json"
    golden = json.loads(path.read_text(encoding="utf-8"))
    ids = np.array(golden["ids"])
    for case in golden["codes"]:
        arguments = (ids, int(case["seed"], 16), case["family"], 4, case["num_buckets"])
        assert reference.hash_buckets(*arguments).tolist() == case["buckets"]
        for transform, tolerance in (("uniform", 0), ("gaussian", 2)):
            want = np.array([[int(word, 16) for word in row] for row in case[transform]], np.uint32)
            codes = reference.dense_hash(*arguments, transform)
            distance = codes.view(np.int32).astype(np.int64) - want.view(np.int32)
            assert np.abs(distance).max() <= tolerance


def test_multiply_shift_takes_the_top_bits_for_a_power_of_two():
    fine = reference.hash_buckets(IDS[:1000], 3, "multiply_shift", 5, 2**32)
    coarse = reference.hash_buckets(IDS[:1000], 3, "multiply_shift", 5, 2**20)
    assert np.array_equal(fine >> 12, coarse)


def test_carter_wegman_is_a_function_of_the_residue_of_its_sum():
    assert np.array_equal(
        reference.hash_buckets(IDS[:100], 3, "carter_wegman", 5, 2**32) % 2**10,
        reference.hash_buckets(IDS[:100], 3, "carter_wegman", 5, 2**10),
    )
    assert coefficients(3, 5, "carter_wegman").max() < MERSENNE_61


@pytest.mark.parametrize("num_buckets", [2, 3, 1000, 10_007])
def test_buckets_of_consecutive_ids_are_uniform(num_buckets):
    buckets = reference.hash_buckets(IDS, 1, "multiply_shift", 4, num_buckets)
    assert max(abs(chi_square(column, num_buckets)) for column in buckets.T) < 5


@pytest.mark.parametrize("family", FAMILIES)
def test_uniform_codes_reach_the_ends_of_their_range_and_no_further(family):
    codes = reference.dense_hash(IDS[:2000], 1, family, 4, 3, "uniform")
    assert np.unique(codes).tolist() == [-1, 0, 1]


def test_the_largest_code_is_at_most_one_for_every_number_of_buckets():
    largest = np.arange(1, 2**24)
    codes = largest.astype(np.float32) * (1.0 / largest).astype(np.float32)
    assert codes.max() <= 1
