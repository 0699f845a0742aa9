"""Trained-looking modules in every form."""

import warnings

import pytest
import torch

from tablefree import ClaimedRows, SketchEmbedding

FORMS = ["float16", "int8", "int4", "levels-3", "levels-4", "product-3x8", "product-2x5"]
FORMS += ["residual-2x8", "residual-3x5", "residual-1x2"]


def trained(embedding, ids):
    """An embedding after ids have learned: rows are owned, and moved."""
    optimizer = torch.optim.SGD(embedding.parameters(), 0.5)
    embedding.train()
    for part in ids.split(64):
        target = torch.sin(part[:, None].float() * torch.arange(1, 9))
        (embedding(part) - target).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return embedding.eval()


@pytest.fixture(scope="session")
def claimed():
    torch.manual_seed(0)
    embedding = ClaimedRows(480, 8, num_rows=20, num_hashes=2, seed="x")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # more ids than rows
        return trained(embedding, torch.arange(900) * 7919)


@pytest.fixture(scope="session")
def sketch():
    torch.manual_seed(0)
    embedding = SketchEmbedding(8, num_rows=20, code_width=4, capacity=480, hidden=(16,), seed="x")
    return trained(embedding, torch.arange(400) * 7919)
