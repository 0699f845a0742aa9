"""The Triton kernels of packed rows: on a GPU where there is one, else under the interpreter."""

import os
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.encodings.row_claims import FINGERPRINT_BYTES, FREE, REFUSED, RowClaims, find_in
from tablefree.kernels import devices_with_kernels, packed_op
from tablefree.packing import Form
from tablefree.packing.packed_rows import PackedRows
from tablefree.packing.packed_sketch import PackedMap

pytest.importorskip("triton")
pytestmark = pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
HEAD = 16 * FINGERPRINT_BYTES
EXTREMES = torch.tensor([0, 1, -1, 2**32, 2**63 - 1, -(2**63)])

BITS = st.integers(2, 8)
FORMS = st.sampled_from(["float16", "int8", "int4"]).map(Form) | st.builds(
    Form, st.just("levels"), BITS
)
FORMS |= st.builds(Form, st.sampled_from(["product", "residual"]), BITS, st.integers(1, 5))
WIDTHS = st.sampled_from([1, 5, 32, 40])
checked = settings(deadline=None, max_examples=10 if ON_GPU else 40)


@pytest.fixture(scope="module")
def cuda_packed():
    """The kernels, which Triton interprets if told so when their module is imported."""
    with pytest.MonkeyPatch.context() as patch:
        if not ON_GPU:
            patch.setenv("TRITON_INTERPRET", "1")
            for name in (
                "cuda",
                "cuda_claims",
                "cuda_packed",
            ):  # whoever imported them before compiles them
                patch.delitem(sys.modules, f"tablefree.kernels.{name}", raising=False)
        yield import_module("tablefree.kernels.cuda_packed")


def random_rows(num_rows, form, width, seed):
    """Packed rows of random bits, but that no float16 in them is infinite or NaN."""
    if form.kind == "product":
        form = Form(form.kind, form.bits, min(form.num_codes, width))
    spans = [width * code // max(form.num_codes, 1) for code in range(form.num_codes + 1)]
    table = PackedRows(num_rows, width, form, spans)
    generator = torch.Generator().manual_seed(seed)
    table.data.random_(generator=generator)
    if not form.bits:
        table.data[:, -2 * (width if form.kind == "float16" else 1) :] &= 0xBB
    table.set_books(
        [torch.randn(book.shape, generator=generator) for book in form.book_shapes(width)]
    )
    return table


def are_same(rows, expected):
    """Whether all bits are, negative zeros among them."""
    return torch.equal(rows.cpu().view(torch.int32), expected.view(torch.int32))


@checked
@given(FORMS, WIDTHS, st.integers(1, 40), st.sampled_from([0, 1, 70]), st.integers(0, 99))
def test_rows_are_those_of_the_cpu_and_of_torch(cuda_packed, form, width, num_rows, count, seed):
    table = random_rows(num_rows, form, width, seed)
    places = torch.randint(num_rows, (count,), generator=torch.Generator().manual_seed(seed))
    rows = cuda_packed.packed_rows(
        places.to(DEVICE),
        table.data.view(-1).to(DEVICE),
        table.tables().to(DEVICE),
        table.layout,
        width,
    )
    assert rows.shape == (count, width)
    assert are_same(rows, table(places))
    assert are_same(rows, table.decode(table.data[places]))


def claimed_map(capacity, load, doubled, table):
    """A map whose rows are those of a table, and ids: owners, sharers and strangers."""
    claims = RowClaims(capacity, seed="x")
    owners = torch.arange(int(load * capacity)) * 7919
    claims.claim(owners)
    one = PackedMap(claims, table.data.shape[1])
    one.slots.copy_(claims.slots)
    if doubled:
        one.slots[:, 8:] = one.slots[:, :8].clone()
    one.rows.copy_(table.data.view(one.rows.shape))
    return one, torch.cat([owners, owners[:9], -torch.arange(30) * 31, EXTREMES])


@checked
@given(
    FORMS,
    WIDTHS,
    st.sampled_from([16, 48, 160]),
    st.sampled_from([0.0, 0.5, 0.95, 2.0]),
    st.booleans(),
    st.integers(0, 99),
)
def test_own_rows_are_those_of_the_cpu_and_of_torch(
    cuda_packed, form, width, capacity, load, doubled, seed
):
    table = random_rows(capacity, form, width, seed)
    one, ids = claimed_map(capacity, load, doubled, table)
    sizes = (one.hashes.signed_seed, table.form.layout(width, HEAD), width)
    rows, places = cuda_packed.packed_own_rows(
        ids.to(DEVICE), one.data.to(DEVICE), table.tables().to(DEVICE), *sizes
    )
    on_cpu = packed_op.packed_own_rows(ids, one.data, table.tables(), *sizes)
    assert torch.equal(places.cpu(), on_cpu[1])
    assert are_same(rows, on_cpu[0])
    found = find_in(one.slots, one.hashes, ids)
    decoded = table.decode(table.data[found.clamp(min=0)])
    assert torch.equal(places.cpu(), found)
    assert are_same(rows, torch.where((found >= 0)[:, None], decoded, 0.0))


@checked
@given(FORMS, WIDTHS, st.sampled_from([0.5, 2.0]), st.integers(1, 4), st.integers(0, 99))
def test_codes_are_those_of_the_cpu(cuda_packed, form, width, load, num_hashes, seed):
    table = random_rows(48, form, width, seed)
    one, ids = claimed_map(48, load, False, table)
    shared = random_rows(7 * num_hashes, form, width, seed + 1).data.view(-1)
    sizes = (num_hashes, table.form.layout(width, HEAD), width)
    seeds = (one.hashes.signed_seed, seed)
    on_cpu = packed_op.packed_codes(
        ids, one.data, table.tables(), seeds[0], shared, seeds[1], *sizes
    )
    tensors = (one.to(DEVICE).data, table.tables().to(DEVICE))
    codes = cuda_packed.packed_codes(
        ids.to(DEVICE), *tensors, seeds[0], shared.to(DEVICE), seeds[1], *sizes
    )
    assert are_same(codes, on_cpu)


def test_ids_own_a_row_or_would_get_one_or_find_none(cuda_packed):
    table = random_rows(160, Form("int8"), 5, 0)
    for load, missing in ((0.5, FREE), (3.0, REFUSED)):
        one, ids = claimed_map(160, load, False, table)
        tensors = (ids.to(DEVICE), one.data.to(DEVICE), table.tables().to(DEVICE))
        sizes = (one.hashes.signed_seed, table.form.layout(5, HEAD), 5)
        places = cuda_packed.packed_own_rows(*tensors, *sizes)[1]
        assert (places >= 0).any()
        assert (places == missing).any()
        rows, places = cuda_packed.packed_own_rows(tensors[0][:0], *tensors[1:], *sizes)
        assert (rows.shape, places.shape) == ((0, 5), (0,))


@pytest.mark.parametrize(
    ("name", "count"), [("packed_rows", 4), ("packed_own_rows", 5), ("packed_codes", 8)]
)
def test_cuda_tensors_go_to_triton(cuda_packed, name, count, monkeypatch):
    monkeypatch.setattr(cuda_packed, name, lambda *arguments: arguments)
    ids = SimpleNamespace(device=torch.device("cuda"))
    assert getattr(packed_op, name)(ids, *range(count)) == (ids, *range(count))


def test_without_triton_torch_reads_what_is_on_a_gpu(monkeypatch):
    assert devices_with_kernels() == ("cpu", "cuda")
    monkeypatch.setitem(sys.modules, "triton", None)
    assert devices_with_kernels() == ("cpu",)


def test_the_kernels_compile_for_a_gpu_without_fusing_what_rounds(tmp_path):
    script = """
import triton
from triton.backends.compiler import GPUTarget
from tablefree.kernels import cuda_packed
from tablefree.packing import Form

TYPES = {"data": "*u8", "books": "*fp32", "out": "*fp32", "slots": "*i16", "functions": "*u64"}
TYPES |= {"ids": "*i64", "places": "*i64", "shared": "*u8", "picks": "*u64"}

def compiled(kernel, form, head):
    constants = form.layout(40, head)._asdict() | {"num_codes": form.num_codes, "width": 40}
    constants |= {"block_ids": 32, "block_width": 64}
    constants |= {"num_hashes": 4} if kernel is cuda_packed._codes_kernel else {}
    names = kernel.arg_names
    types = {name: TYPES.get(name, "i32") for name in names} | dict.fromkeys(constants, "constexpr")
    values = {(names.index(name),): value for name, value in constants.items()}
    source = triton.compiler.ASTSource(kernel, types, constexprs=values)
    options = {"enable_fp_fusion": False}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]

for name in ("float16", "int8", "levels-3", "residual-4x5"):
    form = Form.parse(name)
    kernels = ((cuda_packed._row_kernel, 0), (cuda_packed._own_kernel, 32))
    for kernel, head in (*kernels, (cuda_packed._codes_kernel, 32)):
        assert "fma" not in compiled(kernel, form, head), name
print("compiled")
"""
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "compiled", done.stderr
