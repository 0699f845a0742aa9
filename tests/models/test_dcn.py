from unittest.mock import patch

import pytest
import torch
from torch import nn

from tablefree import DCN, EmbeddingCollection, FullTable
from tablefree.errors import InputError


def table(dim, **options):
    return {"method": "full_table", "num_embeddings": 9, "embedding_dim": dim, **options}


def collection(*widths: int) -> EmbeddingCollection:
    return EmbeddingCollection({f"field_{place}": table(dim) for place, dim in enumerate(widths)})


def named(ids, model):
    return dict(zip(model.embeddings.names, ids.unbind(-1), strict=True))


@pytest.mark.parametrize("num_dense", [0, 2])
@pytest.mark.parametrize("num_crosses", [1, 3])
def test_the_score_is_the_papers(num_dense, num_crosses):
    model = DCN(collection(4, 2, 3), num_dense, num_crosses=num_crosses)
    ids = named(torch.randint(9, (6, 3)), model)
    dense = torch.randn(6, num_dense)
    inputs = torch.cat([*model.embeddings(ids).values(), dense], dim=1)
    layer = inputs
    for cross in model.crosses:
        mapped = torch.einsum("ij,bj->bi", cross.weight, layer) + cross.bias
        layer = inputs * mapped + layer
    expected = model.output(torch.cat([layer, model.deep(inputs)], dim=1)).squeeze(1)
    torch.testing.assert_close(model(ids, dense if num_dense else None), expected)


def test_layers():
    model = DCN(collection(4, 2), num_dense=2, num_crosses=3, hidden=(7, 6))
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    shapes = [(one.in_features, one.out_features) for one in linear]
    assert shapes == [*3 * [(8, 8)], (8, 7), (7, 6), (8 + 6, 1)]
    ids = torch.zeros(2, 2, dtype=torch.long)
    assert DCN(collection(4, 2), hidden=())(named(ids, model)).shape == (2,)


def test_one_tensor_is_the_features_by_name():
    model = DCN(collection(4, 4, 4))
    ids = torch.randint(9, (2, 5, 3))
    torch.testing.assert_close(model(ids), model(named(ids, model)))


@pytest.mark.parametrize("num_crosses", [0, -1, 2.0, None, "2"])
def test_what_is_no_number_of_layers_is_refused(num_crosses):
    with pytest.raises(InputError, match="num_crosses must be an integer of at least 1, got"):
        DCN(collection(4), num_crosses=num_crosses)


def test_matrices_beyond_the_memory_are_refused():
    tables = {"wide": FullTable(1, 2**22)}
    with pytest.raises(InputError, match=r"numbers take .* GiB, and this machine has"):
        DCN(EmbeddingCollection.from_embeddings(tables))


@pytest.mark.filterwarnings("ignore")  # of the other library's imports
def test_it_learns_as_deepctrs(assert_learns_as):
    """DeepCTR-Torch's cross layers are the paper's: x * (W y + b) + y.

    Torch-RecHub's add the bias outside the product, x * W y + b + y, so that is not the law here.
    """
    pytest.importorskip("deepctr_torch")
    with patch("threading.Thread.start"):  # in which it asks the network for newer versions
        from deepctr_torch import models as laws
        from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat

    torch.manual_seed(0)
    tags = table(3, pooling="mean", padding_idx=0)
    embeddings = EmbeddingCollection({"user": table(4), "item": table(2), "tags": tags})
    model = DCN(embeddings, 2, num_crosses=3, hidden=(8, 6))

    columns = [SparseFeat("user", 10, 4), SparseFeat("item", 10, 2)]
    columns.append(VarLenSparseFeat(SparseFeat("tags", 10, 3), 3, "mean"))
    columns.append(DenseFeat("numbers", 2))
    law = laws.DCN([], columns, 3, "matrix", dnn_hidden_units=(8, 6))
    with torch.no_grad():
        for name, single in zip(embeddings.names, embeddings.singles, strict=True):
            law.embedding_dict[name].weight.copy_(single.rows.weight)
        for place, cross in enumerate(model.crosses):
            law.crossnet.kernels[place] = cross.weight
            law.crossnet.bias[place] = cross.bias[:, None]
        deep = [layer for layer in model.deep if isinstance(layer, nn.Linear)]
        for theirs, layer in zip(law.dnn.linears, deep, strict=True):
            theirs.load_state_dict(layer.state_dict())
        law.dnn_linear.weight.copy_(model.output.weight)
        law.out.bias.copy_(model.output.bias)

    batches, batches_of_law = [], []
    for _ in range(10):
        ids, bags, dense = (
            torch.randint(10, (32, 2)),
            torch.randint(10, (32, 3)),
            torch.randn(32, 2),
        )
        labels = ((ids[:, 0] % 2 == 0) & (dense[:, 1] > 0)).float()
        inputs = {"user": ids[:, 0], "item": ids[:, 1], "tags": bags}
        batches.append(((inputs, dense), labels))
        batches_of_law.append(((torch.cat([ids, bags, dense], dim=1),), labels))
    assert_learns_as(model, batches, law, batches_of_law)
