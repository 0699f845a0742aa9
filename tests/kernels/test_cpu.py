import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.hashing import FAMILIES
from tablefree.kernels import cpu, reference

IDS = st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20).map(lambda ids: np.array(ids, int))
SEEDS = st.integers(0, 2**64 - 1)
HASHES = st.integers(1, 33)
LEVELS = st.one_of(st.integers(2, 2**24), st.integers(1, 24).map(lambda bits: 2**bits))
BUCKETS = st.one_of(st.integers(1, 2**32), st.integers(0, 32).map(lambda bits: 2**bits))


def dense_hash(
    ids, seed, family, num_hashes, num_buckets, transform, *, dtype=np.float32, threads=1
):
    codes = np.empty((len(ids), num_hashes), dtype)
    cpu.dense_hash(ids, codes, seed, family, num_buckets, transform, threads)
    return codes


def distance(codes: np.ndarray, expected: np.ndarray) -> int:
    """The largest difference in units in the last place."""
    ordered = [
        np.where(bits < 0, -(2**31) - bits, bits)
        for bits in (array.view(np.int32).astype(np.int64) for array in (codes, expected))
    ]
    return int(np.abs(ordered[0] - ordered[1]).max(initial=0))


@settings(deadline=None)
@given(IDS, SEEDS, st.sampled_from(FAMILIES), HASHES, BUCKETS)
def test_buckets_equal_the_reference(ids, seed, family, num_hashes, num_buckets):
    arguments = (ids, seed, family, num_hashes, num_buckets)
    assert np.array_equal(cpu.hash_buckets(*arguments, 1), reference.hash_buckets(*arguments))


@settings(deadline=None)
@given(IDS, SEEDS, st.sampled_from(FAMILIES), HASHES, LEVELS)
def test_uniform_codes_equal_the_reference_bit_for_bit(ids, seed, family, num_hashes, levels):
    arguments = (ids, seed, family, num_hashes, levels, "uniform")
    codes, expected = dense_hash(*arguments), reference.dense_hash(*arguments)
    assert codes.tobytes() == expected.tobytes()
    assert np.abs(codes).max(initial=0) <= 1


@settings(deadline=None)
@given(IDS, SEEDS, st.sampled_from(FAMILIES), HASHES, LEVELS)
def test_gaussian_codes_are_finite_and_near_the_reference(ids, seed, family, pairs, levels):
    arguments = (ids, seed, family, 2 * pairs, levels, "gaussian")
    codes, expected = dense_hash(*arguments), reference.dense_hash(*arguments)
    assert np.isfinite(codes).all()
    assert distance(codes, expected) <= 2


@settings(deadline=None)
@given(IDS, SEEDS, st.sampled_from(FAMILIES), HASHES, LEVELS)
def test_narrow_codes_are_the_rounding_of_the_float32_codes(ids, seed, family, num_hashes, levels):
    arguments = (ids, seed, family, num_hashes, levels, "uniform")
    codes = torch.from_numpy(reference.dense_hash(*arguments))
    bfloat16 = torch.from_numpy(dense_hash(*arguments, dtype=np.uint16)).view(torch.bfloat16)
    assert torch.equal(bfloat16, codes.bfloat16())
    int8 = torch.from_numpy(dense_hash(*arguments, dtype=np.int8))
    assert torch.equal(int8, (codes * 127).round().to(torch.int8))


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_share_the_work_without_changing_it(family):
    ids = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 1001)
    arguments = (ids, 3, family, 512, 2**20, "uniform")
    assert np.array_equal(dense_hash(*arguments, threads=3), dense_hash(*arguments))
    assert np.array_equal(
        cpu.hash_buckets(ids, 3, family, 512, 2**20, 3),
        reference.hash_buckets(ids[:, None], 3, family, 512, 2**20)[:, 0],
    )


def test_threads_hash_every_string():
    words = [b"%d" % number for number in range(50_000)]
    offsets = np.concatenate([[0], np.cumsum([len(word) for word in words])])
    hashes = cpu.xxh64(np.frombuffer(b"".join(words), np.uint8), offsets, 4)
    assert hashes.view(np.uint64).tolist() == [xxhash.xxh64_intdigest(word) for word in words]


def test_no_folder_for_machine_code_is_needed():
    script = """
import numpy
from tablefree.kernels import cpu
print(cpu.hash_buckets(numpy.arange(3), 0, "multiply_shift", 1, 1, 1).ravel().tolist())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"NUMBA_CACHE_DIR": os.devnull + "/nowhere"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert ran.stdout.strip() == "[0, 0, 0]"
