"""What examples tell of a model: how good it is, and what an error of each row costs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.embeddings.jagged import Bags
from tablefree.errors import InputError
from tablefree.packing.encoding import Statistics

BATCH = 8_192
MOST_EXAMPLES = 2**18  # that statistics are taken of


class Examples:
    """What a model is called with, and labels.

    Args:
        name: in messages.
        parts: the arguments of the model, tensors or mappings of names to tensors or `Bags`, all
            with an example a row; and the labels `[n]`, 0 or 1, at the end.

    Raises:
        InputError: no arguments and labels, or of different lengths; other labels.
    """

    def __init__(self, name: str, parts: Sequence[Any]) -> None:
        *inputs, labels = parts if isinstance(parts, Sequence) and parts else (None,)
        tensors = [one for part in (*inputs, labels) for one in _tensors(part)]
        sizes = {_size(one) for one in tensors}
        if not inputs or not isinstance(labels, Tensor) or len(sizes) != 1 or sizes == {0}:
            raise InputError(
                f"{name} is what the model is called with, and the labels at the end, all tensors "
                "of one length: such as (users, items, labels)"
            )
        is_label = (labels == 0) | (labels == 1)
        if labels.ndim != 1 or not is_label.all():
            odd = list(labels.shape) if labels.ndim != 1 else labels[~is_label][0].item()
            raise InputError(f"the labels of {name} are 0 or 1, one for each row; got {odd!r}")
        self.inputs, self.labels = inputs, labels.float()

    def check_classes(self) -> None:
        """Refuse labels of one class, of which no AUC can be made, with an InputError."""
        if len(torch.unique(self.labels)) < 2:
            raise InputError(
                f"AUC needs labels of both classes, and all {len(self)} are "
                f"{self.labels[0]:g}: pass others"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, places: Tensor, size: int = BATCH) -> Iterator[tuple[list[Any], Tensor]]:
        """The inputs and labels of some examples, in this order."""
        for part in torch.split(places, size):
            yield [_rows(one, part) for one in self.inputs], self.labels[part]

    @torch.no_grad()
    def auc(self, model: nn.Module) -> float:
        """The area under the ROC curve of a model's scores.

        Raises:
            InputError: torchmetrics is not installed.
        """
        try:
            from torchmetrics.functional.classification import binary_auroc
        except ModuleNotFoundError as error:
            raise InputError(
                'AUC needs torchmetrics: `pip install "tablefree[experiments]"`'
            ) from error
        assert not model.training
        scores = [model(*inputs).reshape(-1) for inputs, _ in self.batches(torch.arange(len(self)))]
        return float(binary_auroc(torch.cat(scores), self.labels.long()))


def statistics_of(
    model: nn.Module, tables: Sequence[nn.Embedding], examples: Examples
) -> dict[nn.Module, Statistics]:
    """What an error in the rows of each table costs in the scores of examples.

    The metric is the mean outer product of the score's gradient by the row, so that an error's
    square in it is that of the score, to first order. Each example's score counts with a random
    sign, so that those that share a row add up as they should.
    """
    sums = {table: torch.zeros(table.embedding_dim, table.embedding_dim) for table in tables}
    counts = {table: torch.zeros(table.num_embeddings) for table in tables}
    generator = torch.Generator().manual_seed(0)
    places = torch.randperm(len(examples), generator=generator)[:MOST_EXAMPLES]
    found: list[tuple[nn.Embedding, Tensor, Tensor]] = []

    def note(table: nn.Embedding, arguments: tuple[Tensor], rows: Tensor) -> None:
        if rows.requires_grad:
            found.append((table, arguments[0], rows))

    hooks = [table.register_forward_hook(note) for table in tables]
    try:
        with _learning(tables), torch.enable_grad():
            for inputs, labels in examples.batches(places):
                found.clear()
                scores = model(*inputs).reshape(len(labels), -1).sum(1)
                signs = torch.randint(2, scores.shape, generator=generator) * 2 - 1
                gradients = torch.autograd.grad(
                    (scores * signs).sum(), [rows for *_, rows in found]
                )
                for (table, indices, _), gradient in zip(found, gradients, strict=True):
                    flat = gradient.reshape(-1, gradient.shape[-1]).float()
                    sums[table] += flat.T @ flat
                    counts[table] += torch.bincount(indices.flatten(), minlength=len(counts[table]))
    finally:
        for hook in hooks:
            hook.remove()
    return {
        table: Statistics(sums[table], counts[table]) for table in tables if counts[table].sum() > 0
    }


def squares(
    errors: Float[Tensor, "n width"], metric: Float[Tensor, "width width"] | None
) -> Float[Tensor, " n"]:
    """The squares of errors in a metric; without one, of their lengths."""
    turned = errors if metric is None else errors @ metric
    return (turned * errors).sum(1)


def weighted_error(
    rows: Float[Tensor, "n width"], packed: Float[Tensor, "n width"], statistics: Statistics
) -> float:
    """The squared error of rows as the score has it, as a share of their squares in it."""
    metric = statistics.metric
    weights = torch.ones(len(rows)) if statistics.counts is None else statistics.counts + 0.5

    def square(values: Tensor) -> float:
        return float((weights * squares(values, metric)).sum())

    return square(packed - rows) / max(square(rows), 1e-30)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode within; afterwards each part as before."""
    before = {one: one.training for one in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for one, was_training in before.items():
            one.training = was_training


@contextmanager
def _learning(tables: Sequence[nn.Embedding]) -> Iterator[None]:
    """Rows that require gradients within; afterwards as before."""
    before = [table.weight.requires_grad for table in tables]
    for table in tables:
        table.weight.requires_grad_(True)
    try:
        yield
    finally:
        for table, required in zip(tables, before, strict=True):
            table.weight.requires_grad_(required)


def _size(one: object) -> int:
    """Examples in a tensor or in bags; 0 for what is neither."""
    if isinstance(one, Bags):
        return one.num_bags
    return len(one) if isinstance(one, Tensor) and one.ndim else 0


def _tensors(part: Any) -> list[Any]:
    return list(part.values()) if isinstance(part, dict) else [part]


def _rows(part: Any, places: Tensor) -> Any:
    if isinstance(part, dict):
        return {name: _rows(one, places) for name, one in part.items()}
    return part.at(places) if isinstance(part, Bags) else part[places]
