"""Learn codebooks further, with the codes of all rows as they are."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tablefree.packing.books import Books
from tablefree.packing.examples import Examples

RATES = (0.0005, 0.0002)
ROUNDS = 6  # over the examples, at each rate
BATCH = 4_096


def tune(model: nn.Module, examples: Examples, validation: Examples) -> float:
    """Train the codebooks of a packed model in place, as long as it helps.

    Codes have no gradient and stay. Few codes gain most: .003 of AUC for two of 8 bits an id. The
    rates are tried from the largest on; what is best in validation is kept, and rounded.

    Args:
        model: a packed recommender, whose score is a logit.
        examples: to learn from.
        validation: says when to stop.

    Returns:
        The AUC in validation.
    """
    tables = [one for one in model.modules() if isinstance(one, Books) and one.form.has_codes]
    before, best = [one.books() for one in tables], validation.auc(model)
    if not tables:
        return best
    for rate in RATES:
        books = _tuned(model, tables, examples, validation, rate, best)
        _set(tables, books or before)
        if books is not None:
            return validation.auc(model)
    return best


def _tuned(
    model: nn.Module,
    tables: list[Books],
    examples: Examples,
    validation: Examples,
    rate: float,
    best: float,
) -> list[list[Tensor]] | None:
    """The books of the best AUC above `best` that a rate comes to; None where it stays below."""
    kept = None
    for table in tables:
        table.trained = [book.clone().requires_grad_() for book in table.books()]
    optimizer = torch.optim.Adam(
        [book for table in tables for book in table.trained or []], rate, betas=(0.0, 0.999)
    )
    generator = torch.Generator().manual_seed(0)
    for _ in range(ROUNDS):
        order = torch.randperm(len(examples), generator=generator)
        for inputs, labels in examples.batches(order, BATCH):
            with torch.enable_grad():
                scores = model(*inputs).reshape(-1)
                loss = F.binary_cross_entropy_with_logits(scores, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        auc = validation.auc(model)
        if auc <= best:
            break
        best = auc
        kept = [[book.detach().clone() for book in table.books()] for table in tables]
    return kept


def _set(tables: list[Books], books: list[list[Tensor]]) -> None:
    for table, of_table in zip(tables, books, strict=True):
        table.trained = None
        table.set_books(of_table)
