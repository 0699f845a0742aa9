import pytest
import torch

from tablefree.embeddings import (
    DecodedEmbedding,
    DeepHashEmbedding,
    FullTable,
    HashingTrick,
    SketchEmbedding,
    from_config,
)
from tablefree.encodings import DenseHashEncoding, SketchEncoding
from tablefree.errors import InputError

IDS = torch.tensor([[3, -5], [3, 2**60]])


def codes():
    return [
        SketchEncoding(50, 4, seed="sketch"),
        DenseHashEncoding(8, seed="dense"),
        HashingTrick(30, 2, seed="trick"),
    ]


def test_it_is_the_network_of_the_codes_side_by_side():
    embedding = DecodedEmbedding(6, codes(), hidden=(5,)).eval()
    side_by_side = torch.cat([code(IDS.view(-1)) for code in embedding.encodings], dim=-1)
    assert side_by_side.shape == (4, 14)
    torch.testing.assert_close(embedding(IDS), embedding.network(side_by_side).view(2, 2, 6))


def test_its_cost_is_that_of_the_network_and_of_the_codes():
    embedding = DecodedEmbedding(6, codes(), hidden=(5,))
    assert embedding.multiply_adds == 14 * 5 + 5 * 6 + 14 * 6
    assert embedding.num_parameters == 200 * 4 + 30 * 2 + 14 * 5 + 5 + 5 + 5 * 6 + 6 + 14 * 6


def test_a_table_as_a_code_needs_a_vocabulary():
    embedding = DecodedEmbedding(6, [FullTable(9, 2)])
    assert embedding.needs_vocabulary
    assert not DecodedEmbedding(6, codes()).needs_vocabulary
    with pytest.raises(InputError, match=r"0\.\.8"):
        embedding(torch.tensor([11]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: DecodedEmbedding(6, codes(), hidden=(5,), norm="layer"),
        lambda: DecodedEmbedding(6, [FullTable(9, 2)], hidden=(), skip=False),
        lambda: SketchEmbedding(6, num_rows=20, code_width=3, seed="item"),
        lambda: DeepHashEmbedding(6, num_hashes=8, hidden=(5,), skip=True, seed="item"),
    ],
)
def test_a_configuration_builds_the_same_function(make):
    embedding = make().eval()
    other = from_config(embedding.config()).eval()
    other.load_state_dict(embedding.state_dict())
    ids = torch.tensor([1, 5, 8])
    assert torch.equal(other(ids), embedding(ids))
    assert other.config() == embedding.config()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_frozen(dtype):
    torch.manual_seed(0)
    embedding = DecodedEmbedding(16, codes(), hidden=(32,)).eval()
    frozen, ids = embedding.freeze(dtype), torch.arange(500)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    cosine = torch.cosine_similarity(frozen(ids), embedding(ids), dim=-1)
    assert cosine.min() > (0.99999 if dtype == torch.float32 else 0.98)


def test_recomputing_changes_nothing():
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        embedding = DecodedEmbedding(6, codes(), hidden=(5, 4), recompute=recompute)
        embedding(IDS).square().sum().backward()
        gradients.append([parameter.grad for parameter in embedding.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_no_code_is_refused():
    with pytest.raises(InputError, match="at least one encoding"):
        DecodedEmbedding(6, [])


def test_an_unknown_encoding_in_a_configuration_is_refused():
    config = DecodedEmbedding(6, codes()).config()
    config["encodings"][0]["encoding"] = "magic"
    with pytest.raises(Exception, match="unknown encoding 'magic'"):
        from_config(config)


@pytest.mark.parametrize(
    ("options", "near"),
    [
        ({"hidden": (), "skip": False}, 1e-6),
        ({"norm": "layer"}, 0.1),
        ({"norm": "rms"}, 0.4),  # the skip alone
        ({"norm": "rms", "skip": False}, 0.2),
        ({"norm": "none"}, 0.2),
    ],
)
def test_a_smaller_code_gives_embeddings_of_the_same_scale(options, near):
    torch.manual_seed(0)
    embedding = SketchEmbedding(6, num_rows=200, code_width=4, seed="item", **options)
    embedding.requires_grad_(False)
    ids = torch.arange(1000)
    code, before = embedding.encoding(ids), embedding(ids)
    embedding.rescale_code(0.01)
    torch.testing.assert_close(embedding.encoding(ids), 0.01 * code)
    assert float(embedding(ids).std()) == pytest.approx(float(before.std()), rel=near)
    assert embedding.encoding.std == pytest.approx(0.01)
    with pytest.raises(InputError, match="does not learn"):
        embedding.freeze().rescale_code(0.01)
