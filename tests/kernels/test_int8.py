import numpy as np
import pytest
import torch

from tablefree.kernels import int8, op
from tablefree.network import ACTIVATIONS


def arguments(num_rows: int, width: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randint(-20_000, 20_000, (num_rows, width), generator=generator, dtype=torch.int32),
        torch.rand(num_rows, generator=generator) / 127,
        torch.rand(width, generator=generator) / 20,
        torch.randn(width, generator=generator),
    ]


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_it_is_dequantization_activation_and_quantization(activation):
    products, row_scale, scale, bias = arguments(50, 37)
    exact = ACTIVATIONS[activation][0]()(products * (row_scale[:, None] * scale) + bias)
    rows, scales = op.next_int8_rows(products, row_scale, scale, bias, activation)
    assert (rows.dtype, rows.shape) == (torch.int8, products.shape)
    torch.testing.assert_close(scales, exact.abs().amax(-1) / 127)
    assert (rows.abs().amax(-1) == 127).all()
    assert ((rows * scales[:, None] - exact).abs() <= 0.501 * scales[:, None]).all()


def test_a_row_of_zeros_stays_zero():
    products, row_scale, scale, bias = arguments(3, 5)
    rows, scales = op.next_int8_rows(products * 0, row_scale, scale, bias * 0, "relu")
    assert not rows.any()
    assert (scales > 0).all()


def test_threads_share_the_work_without_changing_it():
    numbers = [tensor.numpy() for tensor in arguments(1001, 130)]
    for one, other in zip(
        int8.next_rows(*numbers, "mish", 1), int8.next_rows(*numbers, "mish", 3), strict=True
    ):
        assert np.array_equal(one, other)


def test_no_rows():
    rows, scales = op.next_int8_rows(*arguments(0, 4), "mish")
    assert (rows.shape, scales.shape) == ((0, 4), (0,))


def test_opcheck():
    torch.library.opcheck(op.next_int8_rows, (*arguments(3, 5), "mish"))
