import pytest
import torch
from torch import nn


class Ranker(nn.Module):
    """A model as people write them: tables, a list of them, a bag, and a layer over all."""

    def __init__(self):
        super().__init__()
        self.user = nn.Embedding(2000, 8, padding_idx=0)
        self.item = nn.Embedding(1500, 8)
        self.fields = nn.ModuleList([nn.Embedding(1000, 8), nn.Embedding(10, 8)])
        self.tags = nn.EmbeddingBag(1200, 8, mode="mean", padding_idx=3)
        self.score = nn.Linear(8, 1)

    def forward(self, user, item, tags):
        fields = self.fields[0](item % 1000) + self.fields[1](item % 10)
        return self.score(self.user(user) * self.item(item) + fields + self.tags(tags)).squeeze(-1)


@pytest.fixture
def ranker_type():
    return Ranker


@pytest.fixture
def ranker():
    return Ranker()


@pytest.fixture
def batch():
    draw = torch.Generator().manual_seed(0)
    sizes = ((2000, (16,)), (1500, (16,)), (1200, (16, 3)))
    return tuple(torch.randint(0, high, shape, generator=draw) for high, shape in sizes)
