import pytest
import torch

from tablefree.embeddings import DeepHashEmbedding
from tablefree.errors import InputError
from tablefree.frozen_network import freeze_network
from tablefree.network import ACTIVATIONS, EmbeddingNetwork

IDS = torch.arange(500) * 7919 - 1000


def trained(**options) -> DeepHashEmbedding:
    """An embedding whose batch norm has seen something."""
    torch.manual_seed(0)
    embedding = DeepHashEmbedding(16, num_hashes=64, hidden=(48, 32), seed="item_id", **options)
    optimizer = torch.optim.Adam(embedding.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        (embedding(IDS) - torch.sin(IDS[:, None] * torch.arange(1, 17))).square().mean().backward()
        optimizer.step()
    return embedding.eval()


def cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return torch.cosine_similarity(one, other, dim=-1)


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_float32_is_the_same_function(norm, activation):
    embedding = trained(norm=norm, activation=activation, dropout=0.1)
    frozen = embedding.freeze()
    torch.testing.assert_close(frozen(IDS), embedding(IDS), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "least"), [(torch.bfloat16, 0.999), (torch.int8, 0.99)])
def test_narrow_types_are_close(dtype, least):
    embedding = trained()
    embeddings = embedding.freeze(dtype)(IDS)
    assert embeddings.dtype == torch.float32
    assert cosine(embeddings, embedding(IDS)).min() > least


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_frozen_has_the_same_call_and_nothing_to_train(dtype):
    frozen = trained().freeze(dtype)
    assert not list(frozen.parameters())
    assert not frozen.training
    assert frozen(IDS.view(5, 100)).shape == (5, 100, 16)
    assert frozen(torch.tensor(3)).shape == (16,)
    assert frozen(torch.empty(0, dtype=torch.int64)).shape == (0, 16)
    assert frozen.multiply_adds == trained().multiply_adds


def test_an_id_does_not_depend_on_its_batch_in_int8():
    frozen = trained().freeze(torch.int8)
    torch.testing.assert_close(frozen(IDS)[37], frozen(IDS[37]), rtol=1e-5, atol=1e-6)


def test_freezing_leaves_the_embedding_as_it_was():
    embedding = trained().train()
    before = {name: value.clone() for name, value in embedding.state_dict().items()}
    embedding.freeze(torch.int8)
    assert embedding.training
    for name, value in embedding.state_dict().items():
        assert torch.equal(before[name], value)


def test_narrow_weights_take_fewer_bytes():
    sizes = [trained().freeze(dtype).describe().num_bytes for dtype in (torch.float32, torch.int8)]
    assert sizes[1] < sizes[0] / 2.5


def test_another_dtype_is_refused():
    with pytest.raises(InputError, match=r"torch\.float16"):
        freeze_network(EmbeddingNetwork(4, 2, hidden=(3,)), torch.float16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_a_skip_is_kept(dtype):
    torch.manual_seed(0)
    network = EmbeddingNetwork(16, 8, hidden=(32,), norm="none", skip=True).eval()
    codes = 2 * torch.rand(50, 16) - 1
    frozen = freeze_network(network, dtype)
    assert cosine(frozen(codes), network(codes)).min() > (
        0.9999 if dtype == torch.float32 else 0.99
    )
    assert frozen.multiply_adds == network.multiply_adds


def test_rms_norm_and_mish_go_in_one_pass_or_in_two():
    network = EmbeddingNetwork(16, 8, hidden=(32, 8), norm="rms", skip=True).eval()
    torch.nn.init.uniform_(network.hidden[1].weight)
    codes = 2 * torch.rand(50, 16) - 1
    frozen = freeze_network(network, torch.float32)
    torch.testing.assert_close(frozen(codes), network(codes))
    codes.requires_grad_()
    frozen(codes).sum().backward()
    (expected,) = torch.autograd.grad(network(codes).sum(), codes)
    torch.testing.assert_close(codes.grad, expected)


@pytest.mark.parametrize("norm", ["layer", "rms"])
def test_norms_that_cannot_be_folded_stay(norm):
    network = EmbeddingNetwork(16, 8, hidden=(32, 8), norm=norm).eval()
    torch.nn.init.uniform_(network.hidden[1].weight)
    codes = 2 * torch.rand(50, 16) - 1
    frozen = freeze_network(network, torch.float32)
    torch.testing.assert_close(frozen(codes), network(codes))
    assert not list(frozen.parameters())
    for dtype in (torch.bfloat16, torch.int8):
        narrow = freeze_network(network, dtype)
        assert cosine(narrow(codes), network(codes)).min() > 0.99
        assert narrow.multiply_adds == network.multiply_adds
