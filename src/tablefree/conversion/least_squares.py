"""The rows of a sketch that represent a narrow table best: a sparse linear system.

A sketch adds the rows that the hashes of an id pick, so its codes are A X, with A the matrix of
zeros and ones of the picks and X the rows. Preconditioned conjugate gradients on the normal
equations (Hestenes and Stiefel, 1952; Björck, "Numerical Methods for Least Squares Problems", 1996)
find X by products with A and its transpose alone.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.conversion.distillation import Distillation
from tablefree.conversion.targets import Targets
from tablefree.encodings import SketchEncoding
from tablefree.errors import InputError
from tablefree.network import check_positive


@torch.no_grad()
def solve_sketch(
    table: Float[Tensor, "n width"] | nn.Embedding,
    encoding: SketchEncoding,
    *,
    ids: Int[Tensor, " n"] | None = None,
    weights: Tensor | None = None,
    ridge: float = 1e-6,
    tolerance: float = 1e-4,
    max_steps: int = 500,
) -> Distillation:
    """Set the rows of a sketch, in place, to those that represent a table best in least squares.

    For a table as narrow as the code. With four hashes and 1.05 rows an id, all tables together, a
    sketch represents any table; with fewer it keeps about as much of the variance of unrelated rows
    as it has rows an id. Just above one row an id the solution is exact but large (several times
    the table's scale, which an id that is not in the table gets to see): a ridge makes it smaller.
    A decoder that was trained over the table then serves the sketch: load its weights into
    `SketchEmbedding.network`, and train both a little more. For all else there is `distill`.

    It stops when, for each column, the error is at most `tolerance` of the table, or the gradient
    at most `tolerance` of what it can be for the error (both as root of the sum of squares; the
    gradient scaled by the diagonal), or after `max_steps`.

    Args:
        table: a row of `encoding.width` numbers for each id.
        encoding: the sketch.
        ids: distinct ids of the rows; by default 0..n-1.
        weights: how much each id counts, at least 0: its frequency, for instance.
        ridge: what the squares of a row add to the squared error of the ids, whose weights have
            mean 1; it keeps rows small that the table says little about.
        tolerance: see above.
        max_steps: products with the matrix and its transpose at most.

    Returns:
        The share of variance kept, and the loss after each step.

    Raises:
        InputError: a sketch with rows that ids own; a table that is empty, not finite or of another
            width than the code; ids or weights that do not fit it; an option out of its range.

    Example:
        >>> table = torch.nn.Embedding(1000, 4)
        >>> encoding = SketchEncoding(325, 4, seed="item_id")
        >>> round(solve_sketch(table, encoding).variance_kept, 3)
        1.0
    """
    check_positive(max_steps=max_steps)
    if not isinstance(encoding, SketchEncoding):
        raise InputError(f"rows of a SketchEncoding are solved for, got {type(encoding).__name__}")
    if encoding.capacity:
        raise InputError(
            f"the rows of a plain sketch can be solved for, this one has {encoding.capacity} rows "
            "that ids own: use distill"
        )
    for name, value in {"ridge": ridge, "tolerance": tolerance}.items():
        if not 0 <= value < float("inf"):
            raise InputError(f"{name} must be at least 0 and finite, got {value}")
    targets = Targets.of(
        table,
        encoding.width,
        ids=ids,
        weights=weights,
        device=encoding.rows.weight.device,
    )
    matrix = _Picks(encoding, targets.ids)
    rows, losses = _solve(matrix, targets, ridge, tolerance, max_steps)
    encoding.rows.flush()
    encoding.rows.weight.copy_(rows)
    errors = matrix.times(rows) - targets.rows
    return Distillation(
        targets.variance_kept(errors, weighted=False),
        targets.variance_kept(errors, weighted=True),
        losses,
    )


class _Picks:
    """The matrix A [n, rows of all tables]: row i has a one for each row that id i picks."""

    def __init__(self, encoding: SketchEncoding, ids: Int[Tensor, " n"]) -> None:
        self.columns = encoding.picks(ids)
        self.num_hashes = self.columns.shape[1]
        counts = self.columns.flatten().bincount(minlength=encoding.rows.num_embeddings)
        # The transpose: the ids that pick each row, one row after the other.
        self.picked_by = self.columns.flatten().argsort() // self.num_hashes
        self.starts = counts.cumsum(0) - counts

    def times(self, rows: Float[Tensor, "rows width"]) -> Float[Tensor, "n width"]:
        return F.embedding_bag(self.columns, rows, mode="sum")

    def transpose_times(self, codes: Float[Tensor, "n width"]) -> Float[Tensor, "rows width"]:
        return F.embedding_bag(self.picked_by, codes, self.starts, mode="sum")


def _solve(
    matrix: _Picks, targets: Targets, ridge: float, tolerance: float, max_steps: int
) -> tuple[Tensor, tuple[float, ...]]:
    """The rows, and the loss after each step.

    All columns are solved side by side, each with steps of its own.
    """
    weights = targets.weights[:, None]
    # Scaled by it from both sides, the normal equations' matrix has norm num_hashes.
    diagonal = matrix.transpose_times(weights) + ridge
    errors = targets.rows.clone()
    gradient = matrix.transpose_times(weights * errors)
    rows = torch.zeros_like(gradient)
    direction = _ratio(gradient, diagonal)
    size = (gradient * direction).sum(0)
    enough = tolerance**2 * (weights * errors.square()).sum(0)
    losses: list[float] = []
    while len(losses) < max_steps:
        change = matrix.times(direction)
        curvature = (weights * change.square()).sum(0) + ridge * direction.square().sum(0)
        rate = _ratio(size, curvature)
        rows += rate * direction
        errors -= rate * change
        gradient = matrix.transpose_times(weights * errors) - ridge * rows
        scaled = _ratio(gradient, diagonal)
        last_size, size = size, (gradient * scaled).sum(0)
        squares = (weights * errors.square()).sum(0)
        losses.append(float(squares.mean() / len(errors)))
        is_flat = size <= tolerance**2 * matrix.num_hashes * squares
        if ((squares <= enough) | is_flat).all():
            break
        direction = scaled + _ratio(size, last_size) * direction
    return rows, tuple(losses)


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """Their ratio, and 0 for 0 / 0: rows that no id picks, columns that are done."""
    return a / b.clamp(min=torch.finfo(b.dtype).tiny)
