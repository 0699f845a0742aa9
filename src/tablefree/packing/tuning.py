"""Learn codebooks further, with the codes of all rows as they are."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tablefree.packing.books import Books
from tablefree.packing.examples import Examples

RATES = (0.001, 0.0002)
BATCH = 4_096
STEPS = 64  # between two looks at validation
PATIENCE = 3  # looks without a better one
GAIN = 1e-4  # of AUC, below which a look is no better
MOST_LOOKS = 24


def tune(model: nn.Module, examples: Examples, validation: Examples) -> float:
    """Train the codebooks of a packed model in place, as long as it helps.

    Codes have no gradient and stay. Few codes gain most: .005 of AUC for two of 8 bits an id. Each
    rate begins anew; what is best in validation is kept, and rounded.

    Args:
        model: a packed recommender, whose score is a logit.
        examples: to learn from.
        validation: says when to stop.

    Returns:
        The AUC in validation.
    """
    tables = [one for one in model.modules() if isinstance(one, Books) and one.form.has_codes]
    best, before = validation.auc(model), [one.books() for one in tables]
    if not tables:
        return best
    kept = before
    for rate in RATES:
        _set(tables, before)
        best, kept = _tuned(model, tables, examples, validation, rate, (best, kept))
    _set(tables, kept)
    return validation.auc(model)


Found = tuple[float, list[list[Tensor]]]  # an AUC in validation, and the books that have it


def _tuned(
    model: nn.Module,
    tables: list[Books],
    examples: Examples,
    validation: Examples,
    rate: float,
    found: Found,
) -> Found:
    """The best that training at a rate comes to, or what was found before it where that is best."""
    for table in tables:
        table.trained = [book.clone().requires_grad_() for book in table.books()]
    optimizer = torch.optim.Adam(
        [book for table in tables for book in table.trained or []], rate, betas=(0.0, 0.999)
    )
    best, waited = 0.0, 0
    for part in _parts(len(examples)):
        for inputs, labels in examples.batches(part, BATCH):
            with torch.enable_grad():
                scores = model(*inputs).reshape(-1)
                loss = F.binary_cross_entropy_with_logits(scores, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        auc = validation.auc(model)
        waited = 0 if auc > best + GAIN else waited + 1
        best = max(best, auc)
        if auc > found[0]:
            found = auc, [[book.detach().clone() for book in table.books()] for table in tables]
        if waited == PATIENCE:
            break
    return found


def _parts(num_examples: int) -> Iterator[Tensor]:
    """The places of the examples to learn from between looks, in a new order each time round."""
    generator, looks = torch.Generator().manual_seed(0), 0
    while True:
        order = torch.randperm(num_examples, generator=generator)
        for part in torch.split(order, STEPS * BATCH):
            yield part
            looks += 1
            if looks == MOST_LOOKS:
                return


def _set(tables: list[Books], books: list[list[Tensor]]) -> None:
    for table, of_table in zip(tables, books, strict=True):
        table.trained = None
        table.set_books(of_table)
