import torch

from tablefree.embeddings import HashEmbedding


def test_rows_of_the_pool_are_summed_with_importance_weights():
    embedding = HashEmbedding(20, 5, num_importance_rows=70, num_hashes=3, seed="item_id")
    ids = torch.arange(-50, 50)
    expected = []
    for picked, important in zip(
        embedding.buckets(ids), embedding.importance_buckets(ids)[:, 0], strict=True
    ):
        weights = embedding.importance.weight[important]
        expected.append((weights[:, None] * embedding.rows.weight[picked]).sum(0))
    torch.testing.assert_close(embedding(ids), torch.stack(expected))
    assert embedding.num_parameters == 20 * 5 + 70 * 3


def test_the_importance_hash_is_not_the_pool_s():
    embedding = HashEmbedding(64, 5, num_importance_rows=64, seed=3)
    ids = torch.arange(1000)
    same = embedding.buckets(ids) == embedding.importance_buckets(ids)
    assert same.float().mean() < 0.05
