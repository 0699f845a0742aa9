"""The Triton kernels: on a GPU where there is one, else under Triton's interpreter."""

import os
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tablefree.hashing import FAMILIES
from tablefree.kernels import reference

pytest.importorskip("triton")

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
SEED = -7
EXTREMES = [0, 1, -1, 2**32, 2**63 - 1, -(2**63)]

IDS = st.lists(st.sampled_from(EXTREMES) | st.integers(-(2**63), 2**63 - 1), max_size=20)
HASHES = st.integers(1, 33)
LEVELS = st.integers(2, 2**24)
if ON_GPU:  # each is a compilation
    LEVELS = st.sampled_from([2, 3, 10_007, 2**20, 2**24 - 1, 2**24])

every_family = pytest.mark.parametrize("family", FAMILIES)
every_transform = pytest.mark.parametrize("transform", ["uniform", "gaussian"])


@pytest.fixture(scope="module")
def cuda():
    """The kernels, which Triton interprets if told so when their module is imported.

    Its interpreter cuts floats off where a GPU rounds them to bfloat16: here it rounds them too.
    """
    if ON_GPU:
        yield import_module("tablefree.kernels.cuda")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        interpreter = import_module("triton.runtime.interpreter")

        def rounded(data, *_):
            return torch.from_numpy(data.copy()).bfloat16().view(torch.uint16).numpy()

        patch.setattr(interpreter, "_convert_float", rounded)
        yield import_module("tablefree.kernels.cuda")


def tensor(values, dtype=torch.int64):
    return torch.tensor(values, dtype=dtype, device=DEVICE)


def encode(cuda, ids, num_hashes, family, num_buckets, transform, dtype):
    out = torch.empty(*ids.shape, num_hashes, dtype=dtype, device=DEVICE)
    cuda.dense_hash_out(ids, out, SEED, family, num_buckets, transform)
    return out.cpu()


def expected(ids, num_hashes, family, num_buckets, transform):
    codes = reference.dense_hash(
        ids.reshape(-1).cpu().numpy(), SEED, family, num_hashes, num_buckets, transform
    )
    return torch.from_numpy(codes).view(*ids.shape, num_hashes)


def distance(codes, wanted):
    """The largest difference in units in the last place of float32."""
    ordered = [
        torch.where(bits < 0, -(2**31) - bits, bits)
        for bits in (codes.view(torch.int32).long(), wanted.view(torch.int32).long())
    ]
    return int((ordered[0] - ordered[1]).abs().max()) if codes.numel() else 0


@settings(deadline=None, max_examples=25)
@given(IDS, st.integers(-(2**63), 2**63 - 1), st.sampled_from(FAMILIES), HASHES, st.data())
def test_buckets_equal_the_reference(cuda, ids, seed, family, num_hashes, data):
    num_buckets = data.draw(st.sampled_from([1, 2**31, 2**32]) | st.integers(1, 2**32))
    buckets = cuda.hash_buckets(tensor(ids), seed, family, num_hashes, num_buckets)
    wanted = reference.hash_buckets(np.array(ids, np.int64), seed, family, num_hashes, num_buckets)
    assert buckets.dtype == torch.int64
    assert np.array_equal(buckets.cpu().numpy(), wanted)


@settings(deadline=None, max_examples=25)
@given(IDS, st.sampled_from(FAMILIES), HASHES, LEVELS)
@example(EXTREMES, "multiply_shift", 33, 2**24)
@example(EXTREMES, "carter_wegman", 33, 2**24)
def test_uniform_codes_equal_the_reference_bit_for_bit(cuda, ids, family, num_hashes, levels):
    options = (tensor(ids), num_hashes, family, levels, "uniform")
    wanted = expected(*options)
    assert encode(cuda, *options, torch.float32).view(torch.int32).equal(wanted.view(torch.int32))
    assert encode(cuda, *options, torch.bfloat16).equal(wanted.bfloat16())
    assert encode(cuda, *options, torch.int8).equal((wanted * 127).round().to(torch.int8))


@settings(deadline=None, max_examples=25)
@given(IDS, st.sampled_from(FAMILIES), HASHES, LEVELS)
@example(EXTREMES, "multiply_shift", 16, 2)
def test_gaussian_codes_are_finite_and_near_the_reference(cuda, ids, family, pairs, levels):
    options = (tensor(ids), 2 * pairs, family, levels, "gaussian")
    wanted = expected(*options)
    codes = encode(cuda, *options, torch.float32)
    assert codes.isfinite().all()
    assert distance(codes, wanted) <= 2
    rounded = encode(cuda, *options, torch.bfloat16)
    torch.testing.assert_close(rounded, wanted.bfloat16(), rtol=2**-7, atol=0)


@every_family
@every_transform
def test_more_than_one_tile(cuda, family, transform):
    options = (torch.arange(-15, 16, device=DEVICE), 1102, family, 1000, transform)
    assert distance(encode(cuda, *options, torch.float32), expected(*options)) <= (
        0 if transform == "uniform" else 2
    )
    buckets = cuda.hash_buckets(torch.arange(3000, device=DEVICE), SEED, family, 3, 99)
    wanted = reference.hash_buckets(np.arange(3000), SEED, family, 3, 99)
    assert np.array_equal(buckets.cpu().numpy(), wanted)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (2, 3)])
def test_any_shape(cuda, shape):
    ids = torch.full(shape, 11, device=DEVICE)
    options = (6, "multiply_shift", 1000, "uniform")
    assert encode(cuda, ids, *options, torch.float32).equal(expected(ids, *options))
    assert cuda.hash_buckets(ids, SEED, "multiply_shift", 6, 9).shape == (*shape, 6)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int16, torch.int32])
def test_every_width_is_the_same_id(cuda, dtype):
    ids = tensor([0, 1, 127] if dtype == torch.uint8 else [0, 1, -1], dtype)
    options = (6, "multiply_shift", 1000, "uniform")
    assert encode(cuda, ids, *options, torch.float32).equal(expected(ids, *options))


def test_layout_does_not_matter(cuda):
    ids = torch.arange(24, device=DEVICE).view(4, 6)
    options = (6, "multiply_shift", 1000, "uniform")
    for view in (ids.T, ids[::2, ::3], ids[:, 2], ids[:1].expand(3, 6)):
        assert encode(cuda, view, *options, torch.float32).equal(expected(view, *options))


def test_the_kernels_compile_for_a_gpu_without_fusing_what_rounds(tmp_path):
    script = """
import triton
from triton.backends.compiler import GPUTarget
from tablefree.kernels import cuda

SIZES = ("num_ids", "num_functions", "num_hashes", "num_buckets")

def compiled(kernel, constants, dtype="bf16"):
    types = {name: "i32" for name in SIZES} | {"ids": "*i64", "functions": "*u64"}
    types |= {"out": "*i64" if kernel is cuda._bucket_kernel else "*" + dtype}
    names = kernel.arg_names
    signature = {
        name: "constexpr" if name in constants else types.get(name, "*" + dtype) for name in names
    }
    values = {(names.index(name),): value for name, value in constants.items()}
    source = triton.compiler.ASTSource(kernel, signature, constexprs=values)
    options = {"enable_fp_fusion": False, "num_warps": 8}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]

row = {"block_ids": 8, "block_hashes": 512}
for prime in (False, True):
    compiled(cuda._bucket_kernel, {"prime": prime, **row})
code = {"num_buckets": 2**20, "prime": False, "gaussian": False}
for dtype, rounding in (("fp32", "mul.rn.f32"), ("bf16", "cvt.rn.bf16"), ("i8", "cvt.rzi")):
    text = compiled(cuda._code_kernel, code | row, dtype)
    assert rounding in text and "fma" not in text, dtype
compiled(cuda._code_kernel, code | row | {"gaussian": True, "block_ids": 2}, "fp32")
print("compiled")
"""
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "compiled", done.stderr
