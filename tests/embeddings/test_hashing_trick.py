import torch

from tablefree.embeddings import HashingTrick
from tablefree.encodings import HashBuckets


def test_an_id_has_the_row_of_its_bucket():
    embedding = HashingTrick(20, 4, seed="item_id")
    ids = torch.arange(-500, 500)
    bucket = HashBuckets(1, 20, seed="item_id")(ids)[:, 0]
    assert torch.equal(embedding(ids), embedding.rows.weight[bucket])
    assert embedding.num_parameters == 20 * 4
    assert bucket.unique().numel() == 20
