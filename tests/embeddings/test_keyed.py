"""TorchRec's `EmbeddingBagCollection` with the same tables is the law.

TorchRec wants an old torchmetrics, and its kernels one version of torch, so it is not among the
packages of the tests. For torch 2.13: pip install --no-deps torchrec==1.8.0 fbgemm-gpu-cpu==1.8.0
tensordict==0.15.3 pyvers pyre-extensions typing-inspect
"""

import warnings

import pytest
import torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of TorchRec's own imports
    pytest.importorskip("torchrec", reason="TorchRec is not installed, see above")
    from torchrec.models.dlrm import DLRM
    from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
    from torchrec.modules.embedding_modules import EmbeddingBagCollection
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

    from tablefree.embeddings.keyed import KeyedEmbeddingBags

from tablefree.embeddings import EmbeddingCollection
from tablefree.errors import InputError

TABLE = {"method": "full_table", "num_embeddings": 9, "embedding_dim": 4}
SHAPE = {"method": "deep_hash", "embedding_dim": 4, "num_hashes": 8, "hidden": [6]}
LENGTHS = torch.tensor([1, 0, 2, 0, 3, 1, 2, 2, 0])


def features(weights=None, keys=("tags", "words", "other")):
    """Three bags for each key."""
    ids = torch.tensor([1, 8, 2, 3, 3, 4, 0, 1, 1, 5, 7])
    return KeyedJaggedTensor(list(keys), ids, lengths=LENGTHS, weights=weights)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_it_is_torchrecs_collection_of_the_same_tables(is_weighted):
    pooling, kind = ("sum", PoolingType.SUM) if is_weighted else ("mean", PoolingType.MEAN)
    law = EmbeddingBagCollection(
        tables=[
            EmbeddingBagConfig(
                name=name, num_embeddings=10, embedding_dim=4, feature_names=[name], pooling=kind
            )
            for name in ("words", "tags")
        ],
        is_weighted=is_weighted,
    )
    collection = EmbeddingCollection(dict.fromkeys(("words", "tags"), TABLE | {"pooling": pooling}))
    tables = [bag.weight.detach() for bag in law.embedding_bags.values()]
    for single, table in zip(collection.singles, tables, strict=True):
        single.load_state_dict({"rows.weight": table})
    keyed = KeyedEmbeddingBags(collection, is_weighted=is_weighted)
    weights = torch.linspace(-1, 1, 11) if is_weighted else None
    got, expected = keyed(features(weights)), law(features(weights))
    assert got.keys() == expected.keys()
    assert got.length_per_key() == expected.length_per_key()
    torch.testing.assert_close(got.values(), expected.values())
    assert keyed.is_weighted() == law.is_weighted()


def test_torchrecs_dlrm_trains_over_it():
    collection = EmbeddingCollection(
        {
            "item": SHAPE | {"pooling": "sum"},
            "tags": SHAPE | {"pooling": "mean"},
            "seen": {"shared_with": "item", "pooling": "mean"},
        }
    )
    keyed = KeyedEmbeddingBags(collection)
    assert [one.num_embeddings for one in keyed.embedding_bag_configs()] == 3 * [2**64]
    model = DLRM(keyed, 2, [8, 4], [8, 1])
    logits = model(torch.rand(3, 2), features(keys=("tags", "item", "seen")))
    assert logits.shape == (3, 1)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in collection.parameters())


def test_what_torchrec_cannot_say_is_refused():
    for pooling, got in (({}, "None"), ({"pooling": "max"}, "'max'")):
        with pytest.raises(InputError, match=f"feature 'tags' needs a pooling .*got {got}"):
            KeyedEmbeddingBags(EmbeddingCollection({"tags": SHAPE | pooling}))
    keyed = KeyedEmbeddingBags(EmbeddingCollection({"tags": SHAPE | {"pooling": "sum"}}))
    with pytest.raises(InputError, match=r"missing feature.*'tags'"):
        keyed(features(keys=("a", "b", "c")))
    varied = KeyedJaggedTensor(
        ["tags", "words"],
        torch.tensor([1, 2, 3]),
        lengths=torch.tensor([1, 1, 1]),
        stride_per_key_per_rank=[[1], [2]],
    )
    with pytest.raises(InputError, match="of one batch"):
        keyed(varied)
