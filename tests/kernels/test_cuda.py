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
every_weight_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])


@pytest.fixture(scope="module")
def cuda():
    """The kernels, which Triton interprets if told so when their module is imported.

    Its interpreter cuts floats off where a GPU rounds them to bfloat16, and multiplies the bits of
    bfloat16 matrices as integers: here it does what a GPU does.
    """
    if ON_GPU:
        yield import_module("tablefree.kernels.cuda")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        interpreter = import_module("triton.runtime.interpreter")
        language = import_module("triton.language")
        dot = interpreter.InterpreterBuilder.create_dot

        def convert(data, _source, target, _rounding):
            if target == language.bfloat16:
                return torch.from_numpy(data.copy()).bfloat16().view(torch.uint16).numpy()
            return torch.from_numpy(data.copy()).view(torch.bfloat16).float().numpy()

        def widened(handle):
            if handle.dtype.scalar != language.bfloat16:
                return handle
            data = convert(handle.data, language.bfloat16, language.float32, None)
            return interpreter.TensorHandle(data, language.float32)

        def dot_of_floats(self, left, right, *options):
            return dot(self, widened(left), widened(right), *options)

        patch.setattr(interpreter, "_convert_float", convert)
        patch.setattr(interpreter.InterpreterBuilder, "create_dot", dot_of_floats)
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


# Codes of three levels are -1, 0 and 1: with small integers for weights every sum is exact.
@every_weight_dtype
@pytest.mark.parametrize(
    ("num_ids", "num_hashes", "num_outputs"), [(1, 1, 1), (45, 70, 5), (130, 20, 150), (1030, 6, 9)]
)
def test_products_are_exact_where_the_sums_are(cuda, dtype, num_ids, num_hashes, num_outputs):
    generator = torch.Generator().manual_seed(0)

    def integers(*shape):
        return torch.randint(-1, 2, shape, generator=generator).to(DEVICE, dtype)

    ids = torch.arange(num_ids, device=DEVICE)
    weight, bias, grad = (
        integers(num_outputs, num_hashes),
        integers(num_outputs),
        integers(num_ids, num_outputs),
    )
    codes = expected(ids, num_hashes, "multiply_shift", 3, "uniform").to(DEVICE)
    out = cuda.dense_hash_linear(ids, weight, bias, SEED, "multiply_shift", 3, "uniform")
    assert out.dtype == dtype
    assert out.equal((codes @ weight.float().T + bias).to(dtype))
    weight_grad = cuda.dense_hash_linear_weight_grad(
        ids, grad, SEED, "multiply_shift", num_hashes, 3, "uniform"
    )
    assert weight_grad.dtype == dtype
    assert weight_grad.equal((grad.float().T @ codes).to(dtype))


@every_weight_dtype
@every_transform
@every_family
def test_products_are_those_of_the_codes(cuda, dtype, transform, family):
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(-(2**63), 2**63 - 1, (40,), generator=generator)
    weight = torch.randn(34, 50, generator=generator).to(dtype)
    grad = torch.randn(40, 34, generator=generator).to(dtype)
    codes = expected(ids, 50, family, 2**20, transform).to(dtype).double()
    options = (family, 2**20, transform)
    ids_there, weight_there, grad_there = (part.to(DEVICE) for part in (ids, weight, grad))
    out = cuda.dense_hash_linear(ids_there, weight_there, None, SEED, *options)
    tolerance = {"rtol": 2**-8, "atol": 2**-8} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(out.cpu(), (codes @ weight.double().T).to(dtype), **tolerance)
    weight_grad = cuda.dense_hash_linear_weight_grad(
        ids_there, grad_there, SEED, family, 50, *options[1:]
    )
    torch.testing.assert_close(weight_grad.cpu(), (grad.double().T @ codes).to(dtype), **tolerance)


def test_products_of_no_ids(cuda):
    ids, options = tensor([]), ("multiply_shift", 3, "uniform")
    weight = torch.ones(5, 6, device=DEVICE)
    assert cuda.dense_hash_linear(ids, weight, None, SEED, *options).shape == (0, 5)
    grad = torch.ones(0, 5, device=DEVICE)
    weight_grad = cuda.dense_hash_linear_weight_grad(ids, grad, SEED, options[0], 6, *options[1:])
    assert weight_grad.equal(torch.zeros_like(weight))


def test_layers_of_any_layout(cuda):
    ids = torch.arange(20, device=DEVICE)
    weight = torch.arange(30.0, device=DEVICE).view(6, 5).T
    grad = torch.ones(1, device=DEVICE).expand(10, 5)
    options = ("multiply_shift", 3, "uniform")
    codes = expected(ids[::2], 6, *options).to(DEVICE)
    out = cuda.dense_hash_linear(ids[::2], weight, weight[:, 0], SEED, *options)
    assert out.equal(codes @ weight.T + weight[:, 0])
    weight_grad = cuda.dense_hash_linear_weight_grad(
        ids[::2], grad, SEED, options[0], 6, *options[1:]
    )
    assert weight_grad.equal(grad.T @ codes)


def test_float32_may_use_tensor_cores_where_torch_may(cuda):
    before = torch.get_float32_matmul_precision()
    ids = torch.arange(20, device=DEVICE)
    weight = torch.ones(5, 6, device=DEVICE)
    codes = expected(ids, 6, "multiply_shift", 3, "uniform").to(DEVICE)
    try:
        torch.set_float32_matmul_precision("high")
        out = cuda.dense_hash_linear(ids, weight, None, SEED, "multiply_shift", 3, "uniform")
    finally:
        torch.set_float32_matmul_precision(before)
    assert out.equal(codes @ weight.T)


def test_the_kernels_compile_for_a_gpu_without_fusing_what_rounds(tmp_path):
    script = """
import triton
from triton.backends.compiler import GPUTarget
from tablefree.kernels import cuda

SIZES = ("num_ids", "num_functions", "num_hashes", "num_outputs", "ids_per_part", "num_buckets")

def compiled(kernel, constants, fusion, dtype="bf16"):
    types = {name: "i32" for name in SIZES} | {"ids": "*i64", "functions": "*u64"}
    types |= {"parts": "*fp32", "out": "*i64" if kernel is cuda._bucket_kernel else "*" + dtype}
    names = kernel.arg_names
    signature = {
        name: "constexpr" if name in constants else types.get(name, "*" + dtype) for name in names
    }
    values = {(names.index(name),): value for name, value in constants.items()}
    source = triton.compiler.ASTSource(kernel, signature, constexprs=values)
    options = {"enable_fp_fusion": fusion, "num_warps": 8}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]

row = {"block_ids": 8, "block_hashes": 512}
for prime in (False, True):
    compiled(cuda._bucket_kernel, {"prime": prime, **row}, False)
code = {"num_buckets": 2**20, "prime": False, "gaussian": False}
for dtype, rounding in (("fp32", "mul.rn.f32"), ("bf16", "cvt.rn.bf16"), ("i8", "cvt.rzi")):
    text = compiled(cuda._code_kernel, code | row, False, dtype)
    assert rounding in text and "fma" not in text, dtype
compiled(cuda._code_kernel, code | row | {"gaussian": True, "block_ids": 2}, False, "fp32")
tile = code | {"precision": "tf32", "block_ids": 128, "block_outputs": 256, "block_hashes": 32}
text = compiled(cuda._linear_kernel, tile | {"has_bias": True}, True)
assert "wgmma" in text and "f32.bf16.bf16" in text
text = compiled(cuda._weight_grad_kernel, tile | {"block_ids": 32, "block_hashes": 128}, True)
assert "wgmma" in text and "f32.bf16.bf16" in text
print("compiled")
"""
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "compiled", done.stderr
