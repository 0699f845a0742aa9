import torch

from tablefree.embeddings import NarrowTable


def test_narrow_rows_are_projected():
    embedding = NarrowTable(10, 4, rank=2)
    assert embedding.num_parameters == 11 * 2 + 2 * 4
    table = embedding.rows.weight @ embedding.projection.weight.T
    torch.testing.assert_close(embedding(torch.arange(11)), table)
    assert torch.linalg.matrix_rank(table) == 2
