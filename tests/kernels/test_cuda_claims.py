"""The Triton kernels of claimed rows: on a GPU where there is one, else under the interpreter."""

import os
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.encodings.row_claims import FREE, REFUSED, SLOTS, RowClaims
from tablefree.kernels import op

pytest.importorskip("triton")
pytestmark = pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")

ON_GPU = torch.cuda.is_available()
DEVICE = "cuda" if ON_GPU else "cpu"
INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(scope="module")
def cuda_claims():
    """The kernels, which Triton interprets if told so when their module is imported."""
    with pytest.MonkeyPatch.context() as patch:
        if not ON_GPU:
            patch.setenv("TRITON_INTERPRET", "1")
            for name in ("cuda", "cuda_claims"):  # whoever imported them before compiles them
                patch.delitem(sys.modules, f"tablefree.kernels.{name}", raising=False)
        yield import_module("tablefree.kernels.cuda_claims")


@settings(max_examples=10, deadline=None)
@given(st.lists(INT64, max_size=150, unique=True), st.integers(1, 8))
def test_they_give_and_find_the_rows_of_the_cpu(cuda_claims, values, num_buckets):
    here, there = (RowClaims(num_buckets * SLOTS, seed="item") for _ in range(2))
    slots, seed = there.slots.to(DEVICE), there.hashes.signed_seed
    ids = torch.tensor(values, dtype=torch.int64)
    for part in ids.tensor_split(3):
        new = part[here(part) == FREE]
        here.give(new)
        cuda_claims.give_rows(new.to(DEVICE), slots, seed)
        assert torch.equal(slots.cpu(), here.slots)
        assert torch.equal(cuda_claims.find_rows(ids.to(DEVICE), slots, seed).cpu(), here(ids))


def test_more_ids_than_a_program_takes(cuda_claims):
    here, ids = RowClaims(320, seed="x"), torch.arange(-200, 200) * 7919
    here.claim(ids)
    slots, seed = torch.zeros_like(here.slots).to(DEVICE), here.hashes.signed_seed
    cuda_claims.give_rows(ids.to(DEVICE), slots, seed)
    assert torch.equal(slots.cpu(), here.slots)
    asked = torch.arange(-500, 500) * 7919
    rows = cuda_claims.find_rows(asked.to(DEVICE), slots, seed).cpu()
    assert torch.equal(rows, here(asked))
    assert (rows == REFUSED).any()


@pytest.mark.parametrize("name", ["find_rows", "give_rows"])
def test_cuda_tensors_go_to_triton(cuda_claims, name, monkeypatch):
    monkeypatch.setattr(cuda_claims, name, lambda *arguments: arguments)
    ids = SimpleNamespace(device=torch.device("cuda"))
    ids.contiguous = lambda: ids
    found = getattr(op, name)._init_fn(ids, 1, 2)
    assert found == ((ids, 1, 2) if name == "find_rows" else None)


def test_the_kernels_compile_for_a_gpu(tmp_path):
    script = """
import triton
from triton.backends.compiler import GPUTarget
from tablefree.kernels import cuda_claims

TYPES = {"ids": "*i64", "rows": "*i64", "waits": "*i1", "asked": "*i64", "first": "*i32"}
TYPES |= {"slots": "*i16", "functions": "*u64", "block_ids": "constexpr"}
for kernel in (cuda_claims._find_kernel, cuda_claims._ask_kernel, cuda_claims._serve_kernel):
    names = kernel.arg_names
    types = {name: TYPES.get(name, "i32") for name in names}
    values = {(names.index("block_ids"),): 128}
    source = triton.compiler.ASTSource(kernel, types, constexprs=values)
    assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]
print("compiled")
"""
    environment = os.environ | {"TRITON_CACHE_DIR": str(tmp_path), "TRITON_INTERPRET": "0"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "compiled", done.stderr
