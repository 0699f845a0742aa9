import pytest
import torch

from tablefree.embeddings import DeepHashEmbedding
from tablefree.encodings import DenseHashEncoding


def small(**options):
    return DeepHashEmbedding(4, **{"num_hashes": 16, "hidden": (8, 8), "seed": "item", **options})


def test_it_is_the_network_of_the_code():
    embedding = small().eval()
    ids = torch.arange(10)
    codes = DenseHashEncoding(16, seed="item")(ids)
    torch.testing.assert_close(embedding(ids), embedding.network(codes))


def test_each_distinct_id_goes_through_the_network_once_in_training_too():
    embedding = small(dropout=0.5)
    rows = []
    embedding.network.register_forward_pre_hook(lambda _, codes: rows.append(len(codes[0])))
    embeddings = embedding(torch.tensor([[7, 7, 3], [3, 7, -1]]))
    assert rows == [3]
    assert torch.equal(embeddings[0, 0], embeddings[1, 1])


def test_batch_norm_averages_over_distinct_ids():
    embedding = small()
    once = embedding(torch.tensor([1, 2, 3]))
    often = embedding(torch.tensor([1, 1, 1, 2, 3, 3]))
    assert torch.equal(often, once[[0, 0, 0, 1, 2, 2]])


def test_one_distinct_id_in_training():
    embedding = small()
    embeddings = embedding(torch.tensor([5, 5, 5]))
    assert torch.equal(embeddings, embedding.eval()(torch.tensor([5, 5, 5])))


def test_a_repeated_id_gathers_its_gradient():
    embedding = small(hidden=(), norm="none")
    embedding(torch.tensor([5, 5, 6])).sum().backward()
    assert torch.equal(embedding.network.output.bias.grad, torch.full((4,), 3.0))


def test_ids_that_differ_get_different_embeddings():
    ids = torch.cat([torch.arange(2000), torch.tensor([1_000_003, 2**32, -1, 2**63 - 1])])
    assert len(small().eval()(ids).unique(dim=0)) == len(ids)


def test_default_size_does_not_depend_on_the_number_of_ids():
    with torch.device("meta"):
        embedding = DeepHashEmbedding(32, hidden=(1800,) * 5, seed="item")
    assert embedding.num_parameters == 14_887_832
    assert embedding.multiply_adds == 1024 * 1800 + 4 * 1800**2 + 1800 * 32


def test_it_compiles():
    embedding = small(hidden=(8,)).eval()
    ids = torch.tensor([[3, 1], [3, 2]])
    compiled = torch.compile(embedding, backend="aot_eager")
    torch.testing.assert_close(compiled(ids), embedding(ids))


def test_ids_that_float32_cannot_tell_apart_have_their_own_embeddings():
    embedding = DeepHashEmbedding(8, num_hashes=16, hidden=(8,), seed="item_id").eval()
    ids = torch.tensor([2**24, 2**24 + 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63 - 2])
    assert len(torch.unique(embedding(ids), dim=0)) == len(ids)


def step(embedding: DeepHashEmbedding, ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Gradients and statistics of one training step."""
    torch.manual_seed(1)  # of dropout
    embedding(ids).square().sum().backward()
    return {name: p.grad for name, p in embedding.named_parameters()} | {
        name: buffer.clone() for name, buffer in embedding.named_buffers()
    }


@pytest.mark.parametrize("autocast", [False, True])
def test_recomputing_changes_memory_only(autocast):
    results = []
    for recompute in (False, True):
        torch.manual_seed(0)
        embedding = DeepHashEmbedding(
            8, num_hashes=32, hidden=(16, 16), dropout=0.2, seed="item", recompute=recompute
        )
        kept: list[int] = []

        def keep(tensor: torch.Tensor, kept: list[int] = kept) -> torch.Tensor:
            kept.append(tensor.numel())
            return tensor

        with (
            torch.autocast("cpu", torch.bfloat16, enabled=autocast),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            results.append((step(embedding, torch.arange(100)), sum(kept)))
    (plain, plain_kept), (recomputed, recomputed_kept) = results
    for name, value in plain.items():
        assert torch.equal(recomputed[name], value), name
    assert recomputed_kept < plain_kept / 4


def test_frozen_tiles_do_not_show(monkeypatch):
    embedding = DeepHashEmbedding(8, num_hashes=32, hidden=(16,), seed="item")
    frozen, ids = embedding.eval().freeze(), torch.arange(100)
    whole = frozen(ids)
    monkeypatch.setattr("tablefree.embeddings.decoded._TILE", 7)
    torch.testing.assert_close(frozen(ids), whole)
