import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.kernels import mish as kernel
from tablefree.kernels import op

VALUES = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1)
CLOSE = {"rtol": 1e-5, "atol": 1e-6}
EDGES = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 20, 40, 41, 1e30, -20, -87, -88, -89, -104, -1e30])


@settings(deadline=None)
@given(VALUES)
def test_it_is_the_formula_in_float32(values):
    values = torch.tensor(values)
    expected = F.mish(values.double())
    torch.testing.assert_close(op.mish(values).double(), expected, rtol=2e-6, atol=1e-35)


def test_edges_and_the_whole_range():
    values = torch.cat([EDGES, torch.linspace(-110, 50, 100_001)])
    torch.testing.assert_close(
        op.mish(values).double(), F.mish(values.double()), rtol=2e-6, atol=1e-35
    )
    assert op.mish(torch.tensor([float("inf")])).item() == float("inf")
    assert op.mish(torch.tensor([float("nan"), 1.0])).isnan().tolist() == [True, False]


@pytest.mark.parametrize("width", [1, 7, 64])
def test_after_rms_norm_in_one_pass(width):
    torch.manual_seed(0)
    rows, weight = 3 * torch.randn(1000, width), torch.randn(width)
    rows[0] = 0
    both = F.mish(F.rms_norm(rows.double(), (width,), weight.double(), 1e-6))
    torch.testing.assert_close(op.rms_norm_mish(rows, weight, 1e-6).double(), both, **CLOSE)
    strided = op.rms_norm_mish(rows.T.contiguous().T, weight, 1e-6)
    torch.testing.assert_close(strided, both.float(), **CLOSE)
    assert op.rms_norm_mish(rows[:0], weight, 1e-6).shape == (0, width)


def test_in_bfloat16_it_is_the_rounding_of_the_float32_value():
    bits = torch.arange(-(2**15), 2**15).to(torch.int16)  # every bfloat16
    values = bits.view(torch.bfloat16)
    values = values[values.isfinite()]
    assert torch.equal(op.mish(values), op.mish(values.float()).bfloat16())
    nan = torch.tensor([float("nan")]).bfloat16()
    assert op.mish(nan).isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradient(dtype):
    values = torch.cat([EDGES, torch.linspace(-30, 30, 4001)]).to(dtype)
    grad = torch.linspace(-2, 3, len(values)).to(dtype)
    exact = values.double().requires_grad_()
    F.mish(exact).backward(grad.double())
    ours = values.clone().requires_grad_()
    op.mish(ours).backward(grad)
    tolerance = 2e-6 if dtype == torch.float32 else 2**-8
    torch.testing.assert_close(
        ours.grad.double(),
        exact.grad,
        rtol=tolerance,
        atol=1e-6 if dtype == torch.float32 else 1e-4,
    )


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
def test_threads_share_the_work_without_changing_it(dtype):
    values = torch.linspace(-5, 5, 200_001)
    values = values.numpy() if dtype == np.float32 else values.bfloat16().view(torch.uint16).numpy()
    results = []
    for num_threads in (1, 3):
        forward, backward = np.empty_like(values), np.empty_like(values)
        kernel.mish(values, forward, num_threads)
        kernel.mish_backward(values, values, backward, num_threads)
        results.append((forward, backward))
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one, other)


def test_any_shape_and_layout():
    values = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    for view in (values.T, values[::2, 1::3], values[0, 0], values[:0]):
        assert torch.equal(op.mish(view), op.mish(view.contiguous()))
        assert op.mish(view).shape == view.shape


def test_opcheck():
    torch.library.opcheck(op.mish, (torch.randn(4, 3, requires_grad=True),))
    torch.library.opcheck(op.mish_backward, (torch.randn(4, 3), torch.randn(4, 3)))
