import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tablefree.errors import InputError
from tablefree.network import ACTIVATIONS, EmbeddingNetwork


def types(network):
    return [type(layer).__name__ for layer in network.hidden]


def test_layers_are_linear_norm_activation_and_end_with_a_plain_linear():
    network = EmbeddingNetwork(6, 3, hidden=(5, 4), dropout=0.1)
    block = ["Linear", "BatchNorm", "Mish", "Dropout"]
    assert types(network) == block + block
    assert type(network.output) is nn.Linear
    assert types(EmbeddingNetwork(6, 3, hidden=(5,), activation="relu", norm="none")) == [
        "Linear",
        "ReLU",
    ]
    assert types(EmbeddingNetwork(6, 3, hidden=())) == []


def test_forward_is_the_plain_formula_in_evaluation():
    network = EmbeddingNetwork(6, 3, hidden=(5,), activation="gelu", norm="none").eval()
    codes = torch.rand(7, 6)
    linear = network.hidden[0]
    expected = network.output(F.gelu(F.linear(codes, linear.weight, linear.bias)))
    assert torch.equal(network(codes), expected)


@pytest.mark.parametrize(("norm", "parameters"), [("none", 14_869_832), ("batch", 14_887_832)])
def test_the_paper_s_network_has_the_paper_s_size(norm, parameters):
    with torch.device("meta"):
        network = EmbeddingNetwork(1024, 32, hidden=(1800,) * 5, norm=norm)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network.multiply_adds == 1024 * 1800 + 4 * 1800**2 + 1800 * 32


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("hidden", [(), (256,), (256, 256, 256)])
def test_embeddings_start_at_the_common_scale(activation, norm, hidden):
    torch.manual_seed(0)
    options = {"hidden": hidden, "activation": activation, "norm": norm}
    uniform = EmbeddingNetwork(256, 64, **options)(2 * torch.rand(512, 256) - 1)
    normal = EmbeddingNetwork(256, 64, **options, code_std=1.0)(torch.randn(512, 256))
    for embeddings in (uniform, normal):
        assert embeddings.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.2)


@pytest.mark.parametrize("rows", [0, 1])
def test_fewer_than_two_rows_in_training_are_normalised_by_the_running_statistics(rows):
    network = EmbeddingNetwork(6, 3, hidden=(5,))
    network(torch.rand(16, 6))
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    codes = torch.rand(rows, 6)
    in_training = network(codes)
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())
    assert torch.equal(in_training, network.eval()(codes))


def test_codes_are_taken_in_the_dtype_of_the_weights():
    network = EmbeddingNetwork(6, 3, hidden=(5,)).to(torch.bfloat16)
    assert network(torch.rand(4, 6)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "swish"}, "activation must be one of mish, relu, gelu; got"),
        ({"norm": "group"}, "norm must be one of batch, layer, rms, none; got 'group'"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"hidden": (8, 0)}, "hidden must be an integer of at least 1, got 0"),
        ({"hidden": (8.0,)}, "hidden must be an integer of at least 1, got 8.0"),
        ({"in_features": 0}, "in_features must be an integer of at least 1, got 0"),
        ({"embedding_dim": -1}, "embedding_dim must be an integer of at least 1, got -1"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        EmbeddingNetwork(**{"in_features": 6, "embedding_dim": 3, "hidden": (5,), **options})


def test_weights_start_with_both_signs_and_the_arguments_stay_as_they_are():
    hidden = [64, 32]
    network = EmbeddingNetwork(64, 8, hidden=hidden)
    assert hidden == [64, 32]
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            assert 0.4 < (layer.weight > 0).float().mean() < 0.6


@pytest.mark.parametrize("norm", ["batch", "layer", "rms", "none"])
def test_a_skip_adds_a_linear_map_of_the_code(norm):
    network = EmbeddingNetwork(6, 3, hidden=(5,), norm=norm, skip=True).eval()
    codes = torch.rand(7, 6)
    with_skip = network(codes)
    skip, network.skip = network.skip, None
    torch.testing.assert_close(with_skip, network(codes) + codes @ skip.weight.T)


@pytest.mark.parametrize("hidden", [(256,), (256, 256)])
def test_embeddings_start_at_the_common_scale_with_a_skip(hidden):
    torch.manual_seed(0)
    network = EmbeddingNetwork(256, 64, hidden=hidden, norm="none", skip=True, code_std=0.1)
    embeddings = network(0.1 * torch.randn(512, 256))
    assert embeddings.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.2)


def test_a_skip_over_nothing_is_refused():
    with pytest.raises(InputError, match="linear already: use skip=False"):
        EmbeddingNetwork(6, 3, hidden=(), skip=True)
