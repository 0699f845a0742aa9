"""Ten steps of two models from the same weights."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

OPTIMIZERS = {
    "sgd": partial(torch.optim.SGD, lr=0.5),
    "adam": partial(torch.optim.Adam, lr=0.02),
}


def losses(model, batches, optimizer, loss_of):
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    values = []
    for inputs, labels in batches:
        optimizer.zero_grad()
        loss = loss_of(model(*inputs).view_as(labels), labels)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return values


@pytest.fixture(params=OPTIMIZERS)
def assert_learns_as(request):
    """A check that our model has the losses of another, each with batches of its own form.

    A batch is a pair of inputs and labels. The other model returns probabilities, or logits.
    """

    def check(ours, batches, law, batches_of_law, *, gives_logits=False):
        on_logits, on_probabilities = F.binary_cross_entropy_with_logits, F.binary_cross_entropy
        inputs, labels = batches[-1]
        with torch.no_grad():
            untrained = on_logits(ours(*inputs), labels).item()
        got = losses(ours, batches, request.param, on_logits)
        loss_of_law = on_logits if gives_logits else on_probabilities
        expected = losses(law, batches_of_law, request.param, loss_of_law)
        assert len(got) == 10
        assert got == pytest.approx(expected, rel=0, abs=1e-5)
        assert abs(got[-1] - untrained) > 0.01  # the steps count

    return check
