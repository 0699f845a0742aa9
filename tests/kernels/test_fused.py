import pytest
import torch
from torch.nn import functional as F

from tablefree.errors import InputError
from tablefree.kernels import fused, op

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SEED = -7
OPTIONS = (SEED, "multiply_shift", 1000, "uniform")

every_device = pytest.mark.parametrize("device", DEVICES)
every_dtype = pytest.mark.parametrize("dtype", fused.WEIGHT_DTYPES)


def layer(device, dtype=torch.float32, num_outputs=3, num_hashes=6):
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(num_outputs, num_hashes, generator=generator).to(device, dtype)
    bias = torch.randn(num_outputs, generator=generator).to(device, dtype)
    return weight.requires_grad_(), bias.requires_grad_()


def encoded(ids, num_hashes, dtype):
    return op.dense_hash(ids, SEED, "multiply_shift", num_hashes, 1000, "uniform", dtype)


@every_device
@every_dtype
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (4,), (2, 3)])
def test_it_is_a_linear_layer_on_codes(device, dtype, shape):
    weight, bias = layer(device, dtype)
    ids = torch.arange(torch.Size(shape).numel(), device=device).view(shape)
    out = fused.dense_hash_linear(ids, weight, bias, *OPTIONS)
    expected = F.linear(encoded(ids, 6, dtype), weight, bias)
    assert (out.shape, out.dtype) == ((*shape, 3), dtype)
    torch.testing.assert_close(out, expected)

    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(1)).to(device, dtype)
    grads = torch.autograd.grad(out, (weight, bias), grad)
    for got, wanted in zip(grads, torch.autograd.grad(expected, (weight, bias), grad), strict=True):
        torch.testing.assert_close(got, wanted)


@every_device
def test_ids_of_any_width_and_layout(device):
    weight, bias = layer(device)
    ids = torch.arange(12, dtype=torch.int16, device=device).view(3, 4).T
    out = fused.dense_hash_linear(ids, weight, bias, *OPTIONS)
    assert out.equal(fused.dense_hash_linear(ids.long().contiguous(), weight, bias, *OPTIONS))


@every_device
def test_without_bias(device):
    weight, bias = layer(device)
    ids = torch.arange(5, device=device)
    out = fused.dense_hash_linear(ids, weight, None, *OPTIONS)
    torch.testing.assert_close(out + bias, fused.dense_hash_linear(ids, weight, bias, *OPTIONS))
    out.sum().backward()
    assert weight.grad is not None


@every_device
def test_only_the_gradients_that_are_needed(device):
    weight, bias = layer(device)
    ids = torch.arange(5, device=device)
    fused.dense_hash_linear(ids, weight.detach(), bias, *OPTIONS).sum().backward()
    assert bias.grad.tolist() == [5, 5, 5]
    assert weight.grad is None


@every_device
def test_opcheck(device):
    ids = torch.arange(6, device=device).view(2, 3).T
    for dtype in fused.WEIGHT_DTYPES:
        weight, bias = layer(device, dtype)
        torch.library.opcheck(fused.dense_hash_linear, (ids, weight, bias, *OPTIONS))
    torch.library.opcheck(fused.dense_hash_linear, (ids, weight, None, *OPTIONS))
    grad = torch.randn(3, 2, 5, device=device)
    torch.library.opcheck(
        fused.dense_hash_linear_weight_grad,
        (ids, grad, SEED, "carter_wegman", 6, 1000, "gaussian"),
    )


@every_device
def test_compiles_into_one_graph_with_its_gradients(device):
    weight, bias = layer(device)
    ids = torch.arange(5, device=device)

    def loss(ids, weight, bias):
        return fused.dense_hash_linear(ids + 1, weight, bias, *OPTIONS).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected = torch.autograd.grad(loss(ids, weight, bias), (weight, bias))
    grads = torch.autograd.grad(compiled(ids, weight, bias), (weight, bias))
    for got, wanted in zip(grads, expected, strict=True):
        torch.testing.assert_close(got, wanted)


@every_device
def test_autocast_leaves_the_dtype_to_the_weight(device):
    weight, bias = layer(device)
    ids = torch.arange(5, device=device)
    expected = fused.dense_hash_linear(ids, weight, bias, *OPTIONS)
    with torch.autocast(device, torch.bfloat16):
        out = fused.dense_hash_linear(ids, weight, bias, *OPTIONS)
        assert out.equal(expected)
        out.sum().backward()
    assert weight.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("weight", "bias", "options", "message"),
    [
        (torch.ones(2, 6, dtype=torch.float16), None, OPTIONS, "float32 or bfloat16"),
        (torch.ones(2, 6), torch.ones(2).bfloat16(), OPTIONS, "cast one"),
        (torch.ones(2, 5), None, (SEED, "multiply_shift", 9, "gaussian"), "even number"),
        (torch.ones(2, 6), None, (SEED, "md5", 9, "uniform"), "unknown hash family"),
    ],
)
def test_what_is_not_defined_is_refused(weight, bias, options, message):
    with pytest.raises(InputError, match=message):
        fused.dense_hash_linear(torch.arange(3), weight, bias, *options)
