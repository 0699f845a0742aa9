import json
import random
import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from tablefree.errors import InputError
from tablefree.hashing import (
    FAMILIES,
    GOLDEN_GAMMA,
    MERSENNE_61,
    check_codes,
    check_hashes,
    coefficients,
    mix64,
    seed_from,
    splitmix64,
    xxh64,
)
from tablefree.kernels import reference

GOLDEN = Path(__file__).parent / "golden"
WORDS = st.integers(0, 2**64 - 1)


def unmix64(word: int) -> int:
    """The inverse of mix64, by Python's integers: each step undone from the last to the first."""
    word = undo_xor_shift(word, 31) * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
    word = undo_xor_shift(word, 27) * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
    return undo_xor_shift(word, 30)


def undo_xor_shift(word: int, shift: int) -> int:
    plain = word
    for _ in range(64 // shift):
        plain = word ^ (plain >> shift)
    return plain


@given(WORDS)
def test_the_finaliser_is_a_bijection(word):
    assert unmix64(int(mix64(np.array([word], np.uint64))[0])) == word


def test_no_small_id_is_a_fixed_point_of_the_renaming():
    ids = np.arange(-1000, 1000).view(np.uint64)
    assert not np.any(mix64(ids + np.uint64(GOLDEN_GAMMA)) == ids)


def test_splitmix64_gives_the_published_stream():
    # The first outputs for seed 1234567 in the test vectors of Vigna's splitmix64.c.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert splitmix64(1234567, 3).tolist() == expected


@pytest.mark.parametrize("family", FAMILIES)
@given(seed=WORDS, fewer=st.integers(1, 20), more=st.integers(0, 20))
def test_fewer_hashes_are_a_prefix_of_more(family, seed, fewer, more):
    assert np.array_equal(
        coefficients(seed, fewer, family), coefficients(seed, fewer + more, family)[:fewer]
    )


def test_carter_wegman_coefficients_are_in_range():
    rows = coefficients(5, 1000, "carter_wegman")
    assert rows.shape == (1000, 3)
    assert rows[:, :2].min() >= 1
    assert rows.max() < MERSENNE_61


def test_coefficients_are_shared_and_so_read_only():
    with pytest.raises(ValueError, match="read-only"):
        coefficients(5, 4, "multiply_shift")[0, 0] = 1


def test_seeds_are_taken_modulo_64_bits_and_names_are_hashed():
    assert seed_from(-1) == seed_from(2**64 - 1) == 2**64 - 1
    assert seed_from(np.int64(-1)) == 2**64 - 1
    assert seed_from("item") == xxhash.xxh64_intdigest(b"item")


@pytest.mark.parametrize("seed", [True, 1.0, None, b"item"])
def test_a_seed_of_another_type_is_refused(seed):
    with pytest.raises(InputError, match=f"got {type(seed).__name__}"):
        seed_from(seed)


def test_a_seed_that_is_not_unicode_is_refused():
    with pytest.raises(InputError, match="lone surrogate at character 1"):
        seed_from("a\ud800")


def test_xxh64_equals_the_xxhash_package():
    source = random.Random(0)
    for size in [*range(101), *source.sample(range(101, 5000), 50)]:
        data = source.randbytes(size)
        assert xxh64(data) == xxhash.xxh64_intdigest(data), size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("md5", 1), "unknown hash family 'md5'"),
        (("multiply_shift", 0), "num_hashes must be at least 1, got 0"),
        (("multiply_shift", 1, 0), "num_buckets must be 1 to 4294967296, got 0"),
        (("multiply_shift", 1, 2**32 + 1), "num_buckets must be 1 to 4294967296"),
        (("multiply_shift", 1.0), "num_hashes must be an int, got float"),
        (("multiply_shift", True), "num_hashes must be an int, got bool"),
    ],
)
def test_hashes_outside_the_contract_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        check_hashes(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4, 2**20, "cosine"), "unknown transform 'cosine'"),
        ((4, 1, "uniform"), "must be 2 to 16777216, got 1"),
        ((4, 2**24 + 1, "uniform"), "must be 2 to 16777216"),
        ((3, 2**20, "gaussian"), "use an even number"),
    ],
)
def test_codes_outside_the_contract_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        check_codes(*arguments)


def test_the_golden_vectors_are_what_the_reference_gives():
    written = json.loads((GOLDEN / "hash_vectors.json").read_text(encoding="utf-8"))
    computed = runpy.run_path(str(GOLDEN / "make_hash_vectors.py"))["vectors"]()
    for case in (*written["codes"], *computed["codes"]):
        del case["gaussian"]  # the platform's logarithm and cosine: see tests/kernels
    assert computed == written


def test_the_table_of_the_contract_is_true():
    text = (Path(__file__).parents[1] / "docs" / "hash-contract.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (-?\d+) \| ([\d, ]+) \| ([-\d., ]+) \|$", text, re.MULTILINE)
    assert len(rows) == 8
    for family, identifier, buckets, codes in rows:
        arguments = (np.array([int(identifier)]), seed_from("item"), family, 4, 2**20)
        assert reference.hash_buckets(*arguments)[0].tolist() == json.loads(f"[{buckets}]")
        assert [f"{code:.6f}" for code in reference.dense_hash(*arguments, "uniform")[0]] == (
            codes.split(", ")
        )


def test_no_global_random_state_is_touched():
    from tablefree.encodings import DenseHashEncoding

    def states():
        return random.getstate(), str(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002

    before = states()
    DenseHashEncoding(8, seed=3, transform="gaussian")(torch.arange(10))
    after = states()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
