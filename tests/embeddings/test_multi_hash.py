import pytest
import torch

from tablefree.embeddings import MultiHash
from tablefree.encodings import HashBuckets
from tablefree.errors import InputError

IDS = torch.arange(-50, 50)


@pytest.mark.parametrize("num_hashes", [1, 2, 3])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("combine", ["add", "concat"])
def test_rows_of_all_hashes_are_combined(num_hashes, shared, combine):
    embedding = MultiHash(
        20, 6, num_hashes=num_hashes, shared=shared, combine=combine, seed="item_id"
    )
    tables = embedding.rows.weight.split(20)
    assert len(tables) == (1 if shared else num_hashes)
    expected = []
    for buckets in HashBuckets(num_hashes, 20, seed="item_id")(IDS):
        rows = [tables[0 if shared else i][bucket] for i, bucket in enumerate(buckets)]
        expected.append(torch.cat(rows) if combine == "concat" else sum(rows))
    torch.testing.assert_close(embedding(IDS), torch.stack(expected))


def test_size_counts_the_tables():
    assert MultiHash(20, 6, num_hashes=3, seed=0).num_parameters == 3 * 20 * 6
    assert MultiHash(20, 6, num_hashes=3, shared=True, seed=0).num_parameters == 20 * 6
    assert MultiHash(20, 6, num_hashes=3, combine="concat", seed=0).num_parameters == 20 * 6


def test_two_hashes_tell_more_ids_apart_than_one():
    ids = torch.arange(300)
    one, two = (MultiHash(50, 6, num_hashes=n, seed=0)(ids).unique(dim=0) for n in (1, 2))
    assert len(one) <= 50 < 200 < len(two)


def test_bad_options_are_named():
    with pytest.raises(
        InputError, match=r"embedding_dim must be a multiple of num_hashes .* 7 and"
    ):
        MultiHash(20, 7, combine="concat", seed=0)
    with pytest.raises(InputError, match="combine must be one of add, concat; got 'mean'"):
        MultiHash(20, 6, combine="mean", seed=0)
