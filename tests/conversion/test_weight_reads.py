import functools
import inspect

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tablefree.conversion.weight_reads import weight_reads


class Tables(nn.Module):
    def __init__(self):
        super().__init__()
        self.item = nn.Embedding(5, 2)
        self.fields = nn.ModuleDict({"a": nn.Embedding(5, 2), "b": nn.Embedding(5, 2)})
        self.listed = nn.ModuleList([nn.Embedding(5, 2), nn.Embedding(5, 2)])
        self.out = nn.Linear(2, 5)
        nn.init.zeros_(self.item.weight)

    def reset_parameters(self):
        nn.init.zeros_(self.item.weight)

    def _init_weights(self):
        nn.init.zeros_(self.item.weight)


class Attribute(Tables):
    def forward(self, queries):
        return queries @ self.item.weight.T


class Inner(Tables):
    def score(self, queries):
        return F.linear(queries, self.item.weight)

    def forward(self, queries):
        return self.score(queries)


class Alias(Tables):
    def forward(self, queries):
        table = self.item
        return queries @ table.weight.T


class Comprehension(Tables):
    def penalty(self):
        return sum(one.weight.square().sum() for one in self.listed)


class Loop(Tables):
    def penalty(self):
        total = 0
        for _, one in self.fields.items():
            total = total + one.weight.sum()
        return total


class Constant(Tables):
    def forward(self):
        return self.fields["b"].weight, self.listed[0].weight, self.listed[7].weight


class Index(Tables):
    def forward(self, i):
        return self.listed[i].weight


class Property(Tables):
    @property
    def rows(self):
        return self.item.weight

    @staticmethod
    def nothing():
        return nn.Linear(1, 1).weight


def decorated(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


class Decorated(Tables):
    @torch.no_grad()
    def forward(self):
        return self.item.weight

    @decorated
    def other(self):
        return self.fields["a"].weight


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Tables()
        self.plain = [{"inner": self.inner}]

    def forward(self):
        return self.plain[0]["inner"].item.weight, self.inner.fields["a"].weight


class Clean(Tables):
    def forward(self, queries, other):
        module, self.plain = other.item, [other]  # not known here
        unknown = module.weight + self.missing[3].weight + self.plain.weight
        return self.out(queries) + self.out.weight.sum() + unknown


class Overridden(Attribute):
    def forward(self, queries):
        return self.out(queries)


READS = {
    Attribute: ["item"],
    Inner: ["item"],
    Alias: ["item"],
    Comprehension: ["listed.0", "listed.1"],
    Loop: ["fields.a", "fields.b"],
    Constant: ["fields.b", "listed.0"],
    Index: ["listed.0", "listed.1"],
    Property: ["item"],
    Decorated: ["fields.a", "item"],
    Outer: ["inner.fields.a", "inner.item"],
    Clean: [],
    Overridden: [],
}


def read_tables(model):
    tables = {
        module: name for name, module in model.named_modules() if type(module) is nn.Embedding
    }
    return {tables[table]: place for table, place in weight_reads(model, tables).items()}


@pytest.mark.parametrize("kind", READS)
def test_tables_that_the_code_reads_are_found(kind):
    assert sorted(read_tables(kind())) == READS[kind]


def test_the_place_is_that_of_the_expression():
    place = read_tables(Alias())["item"]
    lines, start = inspect.getsourcelines(Alias.forward)
    assert place == f"{__file__}:{start + 2}: table.weight"
    assert "table.weight" in lines[2]


def test_a_method_of_the_instance_counts():
    model = Overridden()
    assert not read_tables(model)
    model.forward = Attribute.forward.__get__(model)
    assert list(read_tables(model)) == ["item"]


def test_code_without_source_is_passed_over():
    scope = {"nn": nn, "Tables": Tables}
    exec("class Typed(Tables):\n    def forward(self):\n        return self.item.weight", scope)
    assert not read_tables(scope["Typed"]())
