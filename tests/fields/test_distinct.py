"""A counter of distinct values: a function of their set, exact when it is small."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefree.fields.distinct import SIZE, DistinctCounter, hashes
from tablefree.fields.texts import text_hashes

SMALL = 16
WORDS = st.lists(st.integers(0, 200), max_size=300)


def counter(*parts, size=SMALL):
    found = DistinctCounter(size)
    for part in parts:
        found.add(hashes(pa.array(part, pa.int64())))
    return found


def kept(one):
    return one._smallest.tolist()


@given(WORDS, st.randoms(use_true_random=False))
def test_neither_order_nor_repeats_matter(words, random):
    shuffled = random.sample(words, len(words)) + words[:5]
    assert kept(counter(shuffled)) == kept(counter(words))


@given(WORDS, WORDS)
def test_a_merge_is_as_if_one_had_counted_all(left, right):
    merged = counter(left)
    merged.merge(counter(right))
    assert kept(merged) == kept(counter(left + right)) == kept(counter(left, right))


@given(WORDS, st.lists(st.integers(0, 300), max_size=5))
def test_what_is_kept_is_counted_from_its_first_occurrence(words, cuts):
    """However the values are divided, and whether or not repeats come counted."""
    parts = np.split(np.array(words, np.int64), sorted(min(cut, len(words)) for cut in cuts))
    found = DistinctCounter(SMALL)
    for at, part in enumerate(parts):
        values, times = np.unique(part, return_counts=True)
        if at % 2:
            found.add(hashes(pa.array(values)), times)
        else:
            found.add(hashes(pa.array(part)))
    times_of = {one: words.count(one) for one in set(words)}
    of_hash = {int(hashes(pa.array([one]))[0]): times for one, times in times_of.items()}
    assert [of_hash[one] for one in kept(found)] == found.occurrences.tolist()


@given(st.sets(st.integers(-(2**63), 2**63 - 1), max_size=SMALL - 1))
def test_few_are_counted_exactly(values):
    found = counter(sorted(values))
    assert found.is_exact
    assert found.count() == len(values)


@pytest.mark.parametrize("number", [SIZE - 1, SIZE, 3 * SIZE, 500_000])
def test_many_are_counted_within_a_few_per_cent(number):
    found = counter(range(number), size=SIZE)
    assert found.is_exact == (number < SIZE)
    assert found.count() == pytest.approx(number, rel=0.04)  # 3.6 deviations


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1)))
def test_whole_numbers_have_one_hash(numbers):
    wanted = hashes(pa.array(numbers, pa.int64())).tolist()
    assert hashes(pa.array(list(map(float, numbers)), pa.float64())).tolist() == wanted
    texts = pa.array(list(map(str, numbers)), pa.string())
    assert set(text_hashes(texts).tolist()) == set(wanted)


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["a", "b", "ä", ""]),
        pa.array(["a", "b", "c", "d"], pa.large_string())[1:],
        pa.array([0.5, -0.5, float("inf"), 1e300]),
        pa.array([1, 2**64 - 1], pa.uint64()),
        pa.array([True, False]),
        pa.array([1, 2, 3], pa.decimal128(9, 2)),
        pa.array([0, 1, 2], pa.int32()).cast(pa.date32()),
        pa.array([0, 1, 2], pa.int64()).cast(pa.timestamp("us", "UTC")),
    ],
)
def test_distinct_values_have_distinct_hashes(values):
    found = hashes(values)
    assert found.dtype == np.uint64
    assert len(set(found.tolist())) == len(values)


def test_the_same_strings_have_one_hash_in_all_types():
    strings = pa.array(["a", "bc"])
    wanted = hashes(strings).tolist()
    assert hashes(strings.cast(pa.large_string())).tolist() == wanted
    assert set(text_hashes(strings).tolist()) == set(wanted)
