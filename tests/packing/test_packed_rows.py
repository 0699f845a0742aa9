import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree import Form, FullTable, InputError, pack, unpack
from tablefree.embeddings.quantize import quantize_rows

from .conftest import FORMS


def table(num_rows, width, seed=0):
    torch.manual_seed(seed)
    return FullTable(num_rows, width)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["float16", "int8", "int4", "levels", "product", "residual"]),
    st.integers(2, 8),
    st.integers(1, 5),
    st.integers(1, 40),
    st.sampled_from([1, 2, 17, 300]),
    st.integers(0, 99),
)
def test_kernels_read_what_is_unpacked(kind, bits, num_codes, width, num_rows, seed):
    num_codes = min(num_codes, width)
    sizes = {"levels": (bits, 0), "product": (bits, num_codes), "residual": (bits, num_codes)}
    form = Form(kind, *sizes.get(kind, (0, 0)))
    original = table(num_rows, width, seed)
    packed = pack(original, form=form)
    ids = torch.from_numpy(np.random.default_rng(seed).integers(0, num_rows + 1, 77))
    rows = packed(ids)
    assert torch.equal(rows, unpack(packed)(ids))
    assert torch.equal(rows, packed.rows.decode(packed.rows.data[ids]))  # by torch's operators
    assert packed(ids[:0]).shape == (0, width)
    assert packed(ids.view(7, 11)).shape == (7, 11, width)
    assert torch.equal(packed(ids.int()), rows)


@pytest.mark.parametrize(
    ("form", "dtype"),
    [("float16", "float16"), ("int8", "int8"), ("int4", "int4"), ("levels-4", "codebook")],
)
def test_packed_rows_are_those_of_simulated_rounding(form, dtype):
    original = table(500, 24)
    ids = torch.arange(501)
    assert torch.equal(pack(original, form=form)(ids), quantize_rows(original, dtype)(ids))


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_another_state_is_read_at_once(form, assign):
    packed, others = (pack(table(300, 8, seed), form=form) for seed in range(2))
    ids = torch.arange(300)
    before, after = packed(ids), others(ids)
    packed.load_state_dict(others.state_dict(), assign=assign)
    assert torch.equal(packed(ids), after)
    assert not torch.equal(before, after)


@pytest.mark.parametrize("form", FORMS)
def test_a_scale_that_changes_is_read_at_once(form):
    packed = pack(table(300, 8), form=form)
    if packed.rows.num_books:
        rows = packed(torch.arange(300))
        packed.rows.scales_0.mul_(2)
        assert torch.equal(packed(torch.arange(300)), 2 * rows)


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_are_packed_into_the_same_bytes(form):
    first, second = (pack(table(300, 8), form=form).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_no_global_random_state_is_touched():
    before = torch.get_rng_state()
    original = table(300, 8, seed=5)
    state = torch.get_rng_state()
    unpack(pack(original, form="product-2x4"))
    pack(original, form="residual-2x4")
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(before)


def test_more_bits_err_less():
    original = table(2000, 16)
    ids = torch.arange(2000)

    @torch.no_grad()
    def error(form):
        return float((pack(original, form=form)(ids) - original(ids)).square().mean())

    for forms in (
        ["int4", "int8", "float16"],
        ["levels-2", "levels-4", "levels-6"],
        ["residual-1x8", "residual-2x8", "residual-4x8"],
        ["product-2x8", "product-4x8", "product-8x8"],
    ):
        errors = [error(form) for form in forms]
        assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("form", ["float16", "int8", "levels-4", "residual-2x4", "product-2x4"])
def test_rows_of_any_scale_are_packed(form):
    for scale in (1e-15, 1e4):
        original = table(100, 4)
        original.rescale(scale)
        if scale < 1 and form in ("float16", "int8"):
            continue  # below what float16 holds: zeros
        packed, ids = pack(original, form=form), torch.arange(100)
        size = original(ids).square().mean()
        assert (packed(ids) - original(ids)).square().mean() < 0.5 * size


def test_what_cannot_be_packed_is_refused():
    broken = table(10, 4)
    with torch.no_grad():
        broken.rows.weight[3, 1] = float("nan")
    with pytest.raises(InputError, match="NaN or infinity cannot be packed"):
        pack(broken, form="int8")
    large = table(10, 4)
    large.rescale(1e7)
    with pytest.raises(InputError, match="do not fit float16"):
        pack(large, form="float16")
    with pytest.raises(InputError, match="product codes of rows of 4 numbers are at most 4"):
        pack(table(2000, 4), form="product-5x2")
    packed = pack(table(10, 4), form="int8")
    with pytest.raises(InputError, match="is packed already"):
        pack(packed, form="int8")
    with pytest.raises(InputError, match="nothing in this FullTable is packed"):
        unpack(table(10, 4))
    with pytest.raises(InputError, match="packed rows have no weight"):
        packed.rows.weight  # noqa: B018
    with pytest.raises(InputError, match=r"rows are 0\.\.10, got 11"):
        packed.rows(torch.tensor([11]))


def test_codes_need_faiss_and_say_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(InputError, match=r"pip install \"tablefree\[codes\]\""):
        pack(table(300, 8), form="residual-2x4")
    assert pack(table(300, 8), form="levels-4")(torch.tensor([1])).shape == (1, 8)
