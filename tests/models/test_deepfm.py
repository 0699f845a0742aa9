from itertools import combinations
from unittest.mock import patch

import pytest
import torch
from torch import nn

from tablefree import DeepFM, EmbeddingCollection, FullTable
from tablefree.errors import InputError

FIELDS = ("user", "item")
NUMBERS = ("price", "age")
MOST = 4  # of a number


def table(**options):
    return {"method": "full_table", "num_embeddings": 9, "embedding_dim": 5, **options}


def collection(num_fields: int = 3, dim: int = 4) -> EmbeddingCollection:
    tables = {f"field_{number}": FullTable(10, dim) for number in range(num_fields)}
    return EmbeddingCollection.from_embeddings(tables)


@pytest.mark.parametrize("num_dense", [0, 2])
def test_the_score_is_the_papers(num_dense):
    model = DeepFM(collection(), num_dense)
    ids = torch.randint(10, (6, 3))
    dense = torch.randn(6, num_dense) if num_dense else None
    # <w, x> + sum of <V_i, V_j> x_i x_j + DNN(V x), a category with x = 1
    fields = list(model.embeddings(ids).unbind(1))
    if dense is not None:
        fields += [dense[:, [one]] * model.numbers[one] for one in range(num_dense)]
    vectors, weights = [one[:, :3] for one in fields], [one[:, 3] for one in fields]
    expected = sum(weights) + sum((a * b).sum(1) for a, b in combinations(vectors, 2))
    expected += model.deep(torch.cat(vectors, dim=1)).squeeze(1)
    torch.testing.assert_close(model(ids, dense), expected)


def test_layers():
    model = DeepFM(collection(), num_dense=2, hidden=(7, 6))
    linear = [layer for layer in model.deep.modules() if isinstance(layer, nn.Linear)]
    assert [(one.in_features, one.out_features) for one in linear] == [(15, 7), (7, 6), (6, 1)]
    assert model.numbers.shape == (2, 4)
    assert DeepFM(collection()).numbers is None
    assert DeepFM(collection(), hidden=())(torch.zeros(2, 3, dtype=torch.long)).shape == (2,)


def test_a_weight_and_a_vector_are_two_numbers():
    with pytest.raises(InputError, match="holds a vector and a weight, and got 1 number: choose"):
        DeepFM(collection(dim=1))
    with pytest.raises(InputError, match="embeddings of one width, got 3, 4: choose"):
        DeepFM(EmbeddingCollection.from_embeddings({"a": FullTable(9, 4), "b": FullTable(9, 3)}))


@pytest.mark.filterwarnings("ignore")  # of the other library's imports
def test_it_learns_as_deepctrs(assert_learns_as):
    """The paper's model is DeepCTR-Torch's over categories and bags.

    Of numbers the paper has vectors too, x_i x_j <V_i, V_j>, which DeepCTR-Torch leaves out of the
    machine (its issue 241), and so does Torch-RecHub, whose weights are a linear map of the vectors
    besides. But a number n is a bag of n equal ids, summed: so DeepCTR-Torch gets numbers, whole
    ones, as such bags, and computes the paper's sum.
    """
    pytest.importorskip("deepctr_torch")
    with patch("threading.Thread.start"):  # in which it asks the network for newer versions
        from deepctr_torch import models as laws
        from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat

    torch.manual_seed(0)
    tags = table(pooling="mean", padding_idx=0)
    embeddings = EmbeddingCollection({**dict.fromkeys(FIELDS, table()), "tags": tags})
    model = DeepFM(embeddings, len(NUMBERS), hidden=(8, 6))

    columns = [SparseFeat(name, 10, 4) for name in FIELDS]
    columns.append(VarLenSparseFeat(SparseFeat("tags", 10, 4), 3, "mean"))
    columns += [VarLenSparseFeat(SparseFeat(name, 2, 4), MOST, "sum") for name in NUMBERS]
    law = laws.DeepFM(columns, columns, dnn_hidden_units=(8, 6))
    rows = [*(one.rows.weight for one in embeddings.singles), *model.numbers[:, None]]
    with torch.no_grad():
        for name, row in zip((*FIELDS, "tags", *NUMBERS), rows, strict=True):
            kept = slice(1, 2) if name in NUMBERS else slice(None)
            law.embedding_dict[name].weight[kept] = row[:, :-1]
            law.linear_model.embedding_dict[name].weight[kept] = row[:, -1:]
        hidden, output = model.deep
        copy_linear(law.dnn.linears, hidden)
        law.dnn_linear.weight.copy_(output.weight)
        law.out.bias.copy_(output.bias)

    batches, batches_of_law = [], []
    for _ in range(10):
        ids, bags = torch.randint(10, (32, 2)), torch.randint(1, 10, (32, 3))
        bags[torch.rand(32, 3) < 0.3] = 0
        counts = torch.randint(MOST + 1, (32, 2))
        labels = ((ids[:, 0] + counts[:, 1]) % 3 == 0).float()
        named = {"user": ids[:, 0], "item": ids[:, 1], "tags": bags}
        batches.append(((named, counts.float()), labels))
        repeated = (torch.arange(MOST) < counts[..., None]).flatten(1)
        batches_of_law.append(((torch.cat([ids, bags, repeated], dim=1).float(),), labels))
    assert_learns_as(model, batches, law, batches_of_law)


def copy_linear(linears, perceptron):
    ours = [layer for layer in perceptron if isinstance(layer, nn.Linear)]
    for theirs, layer in zip(linears, ours, strict=True):
        theirs.load_state_dict(layer.state_dict())
