import warnings
from itertools import combinations

import pytest
import torch
from torch import nn

from tablefree import DLRM, EmbeddingCollection, FullTable
from tablefree.errors import InputError


def collection(num_fields: int = 3, dim: int = 4) -> EmbeddingCollection:
    tables = {f"field_{number}": FullTable(10, dim) for number in range(num_fields)}
    return EmbeddingCollection.from_embeddings(tables)


def linear_in(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def linear_shapes(module: nn.Module) -> list[tuple[int, int]]:
    return [(layer.in_features, layer.out_features) for layer in linear_in(module)]


def test_layers():
    model = DLRM(collection(), num_dense=5, bottom=(7, 6), top=(9,))
    assert linear_shapes(model.bottom) == [(5, 7), (7, 6), (6, 4)]
    assert linear_shapes(model.top) == [(4 + 6, 9), (9, 1)]  # 4 vectors make 6 pairs
    assert linear_shapes(DLRM(collection(), top=()).top) == [(3, 1)]


@pytest.mark.parametrize("num_dense", [0, 2])
def test_the_score_is_of_all_dot_products(num_dense):
    model = DLRM(collection(), num_dense)
    ids = torch.randint(10, (6, 3))
    dense = torch.randn(6, num_dense) if num_dense else None
    vectors = list(model.embeddings(ids).unbind(1))
    inputs = []
    if dense is not None:
        vector = model.bottom(dense)
        assert (vector >= 0).all()  # the last layer, too, has a ReLU
        vectors.insert(0, vector)
        inputs = [vector]
    inputs += [(a * b).sum(1, keepdim=True) for a, b in combinations(vectors, 2)]
    expected = model.top(torch.cat(inputs, dim=1)).squeeze(1)
    torch.testing.assert_close(model(ids, dense), expected)


def test_it_needs_a_pair_of_one_width():
    wide = {"user": FullTable(9, 4), "item": FullTable(9, 6)}
    with pytest.raises(InputError, match="embeddings of one width, got 4, 6: choose"):
        DLRM(EmbeddingCollection.from_embeddings(wide))
    with pytest.raises(InputError, match="needs two vectors, got one feature"):
        DLRM(collection(1))
    ids = torch.zeros(2, 1, dtype=torch.long)
    assert DLRM(collection(1), 2)(ids, torch.randn(2, 2)).shape == (2,)


class PaperDLRM(nn.Module):
    """DLRM as its paper has it, pair by pair: neither Torch-RecHub nor DeepCTR-Torch has one."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(11, 4) for _ in range(3))
        self.bottom = nn.ModuleList([nn.Linear(2, 7), nn.Linear(7, 4)])
        self.top = nn.ModuleList([nn.Linear(4 + 6, 9), nn.Linear(9, 8), nn.Linear(8, 1)])

    def forward(self, ids, dense):
        for layer in self.bottom:
            dense = layer(dense).clamp(min=0)
        vectors = [dense, *(table(ids[:, place]) for place, table in enumerate(self.tables))]
        pairs = [torch.einsum("bd,bd->b", a, b) for a, b in combinations(vectors, 2)]
        hidden = torch.cat([dense, torch.stack(pairs, dim=1)], dim=1)
        for layer in self.top[:-1]:
            hidden = layer(hidden).clamp(min=0)
        return self.top[-1](hidden)


def copy_weights(model, tables, bottom, top):
    for table, single in zip(tables, model.embeddings.singles, strict=True):
        table.load_state_dict(single.rows.state_dict())
    for theirs, layer in zip(
        [*bottom, *top], linear_in(model.bottom) + linear_in(model.top), strict=True
    ):
        theirs.load_state_dict(layer.state_dict())


def made():
    """A model, and ten batches for it."""
    torch.manual_seed(0)
    model = DLRM(collection(), 2, bottom=(7,), top=(9, 8))
    batches = []
    for _ in range(10):
        ids, dense = torch.randint(10, (32, 3)), torch.randn(32, 2)
        batches.append(((ids, dense), ((ids[:, 0] % 2 == 0) & (dense[:, 1] > 0)).float()))
    return model, batches


def test_it_learns_as_the_papers(assert_learns_as):
    model, batches = made()
    law = PaperDLRM()
    copy_weights(model, law.tables, law.bottom, law.top)
    assert_learns_as(model, batches, law, batches, gives_logits=True)


def test_it_learns_as_torchrecs(assert_learns_as):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TorchRec's own imports
        reason = "TorchRec is not installed, see tests/embeddings/test_keyed.py"
        dlrm = pytest.importorskip("torchrec.models.dlrm", reason=reason)
        from torchrec.modules.embedding_configs import EmbeddingBagConfig
        from torchrec.modules.embedding_modules import EmbeddingBagCollection
        from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

    model, batches = made()
    names = list(model.embeddings.names)
    bags = EmbeddingBagCollection(
        tables=[
            EmbeddingBagConfig(name=name, num_embeddings=11, embedding_dim=4, feature_names=[name])
            for name in names
        ]
    )
    law = dlrm.DLRM(bags, 2, [7, 4], [9, 8, 1])
    copy_weights(
        model, bags.embedding_bags.values(), linear_in(law.dense_arch), linear_in(law.over_arch)
    )
    lengths = torch.ones(3 * 32, dtype=torch.int64)
    batches_of_law = [
        ((dense, KeyedJaggedTensor(names, ids.T.flatten(), lengths=lengths)), labels)
        for (ids, dense), labels in batches
    ]
    assert_learns_as(model, batches, law, batches_of_law, gives_logits=True)
