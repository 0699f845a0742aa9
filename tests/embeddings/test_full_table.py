import torch

from tablefree.embeddings import FullTable


def test_a_row_an_id_and_one_for_unknown_ids():
    embedding = FullTable(10, 4)
    assert embedding.num_parameters == 11 * 4
    ids = torch.tensor([[3, 10], [0, 3]])
    assert torch.equal(embedding(ids), embedding.rows.weight[ids])
