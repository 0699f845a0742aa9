import re

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from tablefree import convert


class Positions(nn.Embedding):
    def forward(self, ids):
        return super().forward(ids + 2)


class Named(nn.Embedding):
    """A subclass that adds nothing to the call."""


class Counted(nn.Module):
    num_embeddings, embedding_dim = 1000, 8


class Identity(nn.Module):
    def forward(self, weight):
        return weight


def with_hook():
    table = nn.Embedding(1000, 8)
    table.register_forward_hook(lambda *_: None)
    return table


def with_parametrization():
    return parametrize.register_parametrization(nn.Embedding(1000, 8), "weight", Identity())


def with_own_forward():
    table = nn.Embedding(1000, 8)
    table.forward = table.forward
    return table


def of_integers():
    table = nn.Embedding(1000, 8)
    table.weight = nn.Parameter(torch.zeros(1000, 8, dtype=torch.int8), requires_grad=False)
    return table


TABLES = {
    "max_norm changes the rows": nn.Embedding(1000, 8, max_norm=1.0),
    "max_norm changes the": nn.EmbeddingBag(1000, 8, max_norm=1.0),
    "scale_grad_by_freq scales": nn.Embedding(1000, 8, scale_grad_by_freq=True),
    "sparse=True asks for": nn.EmbeddingBag(1000, 8, sparse=True),
    "Positions has a forward of its own": Positions(1000, 8),
    "Embedding has a forward of its own": with_own_forward(),
    "Counted is no nn.Embedding": Counted(),
    "it has hooks": with_hook(),
    "its weight is parametrized": with_parametrization(),
    "its weight is quantized": of_integers(),
    "it is frozen, .* use distill=True": nn.Embedding(1000, 8).requires_grad_(False),
}


@pytest.mark.parametrize("reason", TABLES)
def test_a_table_that_does_more_is_refused(reason):
    model, report = convert(nn.Sequential(TABLES[reason]))
    assert not report.replaced
    assert list(report.refused) == ["0"]
    assert re.match(reason, report.refused["0"])
    assert model[0] is TABLES[reason]


def test_a_subclass_without_a_forward_of_its_own_is_replaced():
    assert convert(nn.Sequential(Named(1000, 8)))[1].replaced


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.item = nn.Embedding(1000, 8)
        self.out = nn.Linear(8, 1000)


def test_tied_weights():
    model = Tied()
    model.out.weight = model.item.weight
    table = model.item
    assert convert(model)[1].refused == {
        "item": "its weight is shared with out.weight: untie them first"
    }
    assert model.item is table


def test_weights_that_share_memory():
    model = Tied()
    model.out.weight.data = model.item.weight.data
    assert "shared with out.weight" in convert(model)[1].refused["item"]


def test_two_tables_of_one_weight():
    model = nn.ModuleList([nn.Embedding(1000, 8), nn.Embedding(1000, 8)])
    model[1].weight = model[0].weight
    assert convert(model)[1].refused == {
        "0": "its weight is shared with 1.weight: untie them first",
        "1": "its weight is shared with 0.weight: untie them first",
    }


@pytest.mark.parametrize(
    "hold", [lambda table: [table], lambda table: {"a": ({table.weight}, 1e-5)}]
)
def test_what_a_collection_holds(hold):
    model = nn.ModuleDict({"a": Tied(), "b": Tied()})
    model["b"]._penalties = hold(model["a"].item)
    _, report = convert(model)
    assert report.refused == {
        "a.item": "b._penalties is a collection that holds it: take it out, and put what replaces "
        "it there after the conversion"
    }
    assert [table.name for table in report.replaced] == ["b.item"]


class Scored(Tied):
    def forward(self, queries):
        return queries @ self.item.weight.T


def test_code_that_reads_the_weight():
    reason = convert(Scored())[1].refused["item"]
    assert reason.startswith("its weight is read directly, in ")
    assert f"{__file__}:" in reason
    assert reason.endswith(": self.item.weight: call the table with all its ids there")
