import pytest
import torch
from torch import nn

from tablefree.bench.case import LeftOutError, Shape, measure
from tablefree.bench.networks import (
    BareProducts,
    compiled_case,
    every_row,
    frozen_case,
    inference,
    sequential,
    training_step,
)

SHAPE = Shape(20, 16, (8, 6), torch.device("cpu"))


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_the_sequential_is_the_embeddings_network():
    def weights(module):
        return [tuple(parameter.shape) for parameter in module.parameters()]

    plain, embedding = sequential(SHAPE), SHAPE.embedding()
    assert weights(plain) == weights(embedding.network)
    plain.load_state_dict(
        dict(zip(plain.state_dict(), embedding.network.state_dict().values(), strict=True))
    )
    ids = SHAPE.distinct_ids()
    torch.testing.assert_close(plain(embedding.encoding(ids)), embedding(ids))


def test_the_bare_products_have_the_shapes_of_the_frozen_embedding():
    codes = SHAPE.embedding().encoding(SHAPE.distinct_ids())
    assert BareProducts(SHAPE, torch.bfloat16)(codes.bfloat16()).shape == (20, 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_training_step_leaves_the_gradients_of_one_step(dtype):
    embedding, ids = SHAPE.embedding(), SHAPE.distinct_ids()
    step = training_step(embedding, SHAPE, dtype)
    step(ids)
    first = [parameter.grad.clone() for parameter in embedding.parameters()]
    step(ids)
    for before, parameter in zip(first, embedding.parameters(), strict=True):
        assert parameter.grad.isfinite().all()
        torch.testing.assert_close(before, parameter.grad, rtol=0.1, atol=0.1)
    assert any(gradient.abs().max() > 0 for gradient in first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_every_row_is_the_embedding_of_its_id(dtype):
    frozen, ids = SHAPE.embedding().freeze(dtype), torch.tensor([3, 14, 3])
    rows = every_row(frozen)(ids)
    assert not rows.requires_grad
    torch.testing.assert_close(rows, inference(frozen)(ids))


def test_the_multiply_adds_are_those_of_the_embedding():
    assert frozen_case(SHAPE, torch.float32).multiply_adds == SHAPE.embedding().multiply_adds


def test_without_a_compiler_the_case_is_left_out(monkeypatch):
    def fail(_):
        raise RuntimeError("no C++ compiler found\nand more")

    monkeypatch.setattr(nn.Module, "compile", lambda self: setattr(self, "forward", fail))
    with pytest.raises(LeftOutError, match=r"^torch.compile failed: no C\+\+ compiler found$"):
        measure(compiled_case(SHAPE), 0.0)
