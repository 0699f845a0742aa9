import math

import pytest
import torch

from tablefree.embeddings import QuotientRemainder
from tablefree.errors import InputError


@pytest.mark.parametrize(
    ("combine", "together"),
    [
        ("add", torch.add),
        ("multiply", torch.mul),
        ("concat", lambda remainder, quotient: torch.cat([remainder, quotient])),
    ],
)
def test_the_hash_is_divided(combine, together):
    embedding = QuotientRemainder(20, 6, num_quotients=7, combine=combine, seed="item_id")
    ids = torch.arange(-50, 50)
    expected = [
        together(embedding.remainders.weight[pair % 20], embedding.quotients.weight[pair // 20])
        for pair in embedding.pairs(ids)[:, 0].tolist()
    ]
    torch.testing.assert_close(embedding(ids), torch.stack(expected))
    assert embedding.num_parameters == 27 * (3 if combine == "concat" else 6)


def test_ids_share_a_pair_only_when_their_hashes_agree():
    embedding = QuotientRemainder(100, 6, num_quotients=40, seed=0)
    ids = torch.arange(4000)
    hashes = embedding.pairs(ids)[:, 0]
    assert len(embedding(ids).unique(dim=0)) == len(hashes.unique())
    # As many pairs as ids: 1 - 1/e of the pairs are taken.
    assert len(hashes.unique()) / 4000 == pytest.approx(1 - math.exp(-1), abs=0.03)


def test_bad_options_are_named():
    with pytest.raises(InputError, match="embedding_dim must be even to concatenate rows, got 7"):
        QuotientRemainder(20, 7, num_quotients=7, combine="concat", seed=0)
    with pytest.raises(InputError, match="combine must be one of add, multiply, concat; got 'max'"):
        QuotientRemainder(20, 6, num_quotients=7, combine="max", seed=0)
    with pytest.raises(InputError, match=r"must be at most 2\*\*32, got 65536 \* 65537"):
        QuotientRemainder(2**16, 6, num_quotients=2**16 + 1, seed=0)
