"""Codes of what is known of an id: its features, looked up by the id; zeros for any other.

The hash or learned part of a code memorises, features generalise to ids that were rarely or never
seen (Kang et al., "Learning to Embed Categorical Features without Embedding Tables for
Recommendation", 2021, where they follow the hash code). Features are data: buffers that nothing
trains. They are in the state dict, since there is no embedding without them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from tablefree.checks import check_positive
from tablefree.encodings.base import Encoding
from tablefree.encodings.history import HistoryEncoding
from tablefree.errors import InputError
from tablefree.ids import tensor_ids
from tablefree.registry import build, first_id, registered

MAX_CATEGORIES = 1000  # of a column with a number each; a bag takes any number of them


@registered(encoding="side_features")
class SideFeatures(nn.Module):
    """The features of an id and a one; zeros for an id without.

    For ids that become known after training, put a module of the same width in the place of this
    one; `standardise` and `multi_hot` take what the first one was made with.

    Args:
        ids: distinct 64-bit ids, in any order.
        values: a row of finite numbers for each id, of a scale near one (see `standardise` and
            `multi_hot`); held as float32.

    Attributes:
        ids: int64 `[n]`, rising.
        codes: float32 `[n + 1, width]`, the code of each id, and of any other.

    Raises:
        InputError: ids that are repeated, none, or no integers; values that are not finite or of
            another shape.

    Example:
        >>> encoding = SideFeatures(torch.tensor([7, 42]), torch.tensor([[0.5], [-2.0]]))
        >>> encoding(torch.tensor([42, 8]))
        tensor([[-2.,  1.],
                [ 0.,  0.]])
    """

    ids: Tensor
    codes: Tensor

    def __init__(self, ids: Int[Tensor, " n"], values: Shaped[Tensor, "n features"]) -> None:
        super().__init__()
        ids, order = _sorted(ids)
        if values.ndim != 2 or len(values) != len(ids) or not values.numel():
            raise InputError(
                f"values must have a row of at least one feature for each of the {len(ids)} ids, "
                f"got shape {tuple(values.shape)}"
            )
        values = values.detach().to(torch.float32)
        if not values.isfinite().all():
            row, column = (~values.isfinite()).nonzero()[0].tolist()
            raise InputError(
                f"values must be finite, got {values[row, column]:g} in row {row}, column "
                f"{column}: fill what is missing, as standardise does"
            )
        self.register_buffer("ids", ids)
        # A last column tells what is known, and a last row is the code of what is not.
        self.register_buffer("codes", F.pad(F.pad(values[order], (0, 1), value=1.0), (0, 0, 0, 1)))

    @classmethod
    def outline(cls, *, num_ids: int, width: int) -> Self:
        """One of the same shape, whose ids and features come with the state dict."""
        check_positive(num_ids=num_ids, width=width)
        features = cls(first_id(), torch.zeros(1, 1, device="cpu"))
        features.ids = torch.zeros(num_ids, dtype=torch.int64)
        features.codes = torch.zeros(num_ids + 1, width)
        return features

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Look the features of each id up.

        Raises:
            InputError: ids that are no integers.
        """
        return F.embedding(_find(self.ids, tensor_ids(ids)), self.codes)

    @property
    def width(self) -> int:
        """The number of features, and one more."""
        return self.codes.shape[1]

    @property
    def std(self) -> float:
        """The root mean square of the codes of known ids; 1 for an outline, which has no values."""
        if self.codes.is_meta:
            return 1.0
        return self.codes[:-1].square().mean().sqrt().item()

    def config(self) -> dict[str, object]:
        """The kind of encoding and its shape; ids and features are in the state dict."""
        return {"encoding": "side_features", "num_ids": len(self.ids), "width": self.width}

    def extra_repr(self) -> str:
        """The shape."""
        return f"num_ids={len(self.ids)}, width={self.width}"


@registered(encoding="bag_features")
class BagFeatures(nn.Module):
    """The sum of the codes of an id's tags over n^alpha, n being their number; zeros without.

    Tags are ids themselves, such as hashed words, of any number: a sketch of them is bounded.

    Args:
        tags: an encoding of the tags; unlike a `HistoryEncoding`, the module owns it.
        ids: distinct 64-bit ids, in any order.
        bags: what `tags` takes, the bag of the first id, then that of the second, and so on.
        offsets: where the bag of each id starts in `bags`, and the length of `bags` at the end.
        alpha: 0 for the sum, 1 for the mean.

    Attributes:
        ids: int64 `[n]`, rising.
        bags: int64, bag after bag in the order of `ids`.
        offsets: int64 `[n + 2]`, where each bag starts in `bags`; the last one is empty.

    Raises:
        InputError: ids that are repeated, none, or no integers; offsets that do not rise from 0 to
            the length of `bags`; an alpha below 0 or above 1.

    Example:
        >>> tags, offsets = torch.tensor([81, 9, 81]), torch.tensor([0, 2, 3])
        >>> sketch = SketchEncoding(100, 4, seed="tag")
        >>> BagFeatures(sketch, torch.tensor([7, 42]), tags, offsets)(torch.tensor([42, 8])).shape
        torch.Size([2, 4])
    """

    ids: Tensor
    bags: Tensor
    offsets: Tensor

    def __init__(
        self,
        tags: Encoding,
        ids: Int[Tensor, " n"],
        bags: Int[Tensor, " m"],
        offsets: Int[Tensor, " n_plus_one"],
        *,
        alpha: float = 0.5,
    ) -> None:
        super().__init__()
        ids, order = _sorted(ids)
        bags, offsets = tensor_ids(bags), tensor_ids(offsets)
        _check_offsets(offsets, len(ids), len(bags))
        sizes = offsets.diff()
        rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(ids), device=ids.device))
        by_id = rank.repeat_interleave(sizes).argsort(stable=True)
        self.tags = tags
        self.pool = HistoryEncoding(tags, alpha=alpha)
        self.register_buffer("ids", ids)
        self.register_buffer("bags", bags[by_id])
        ends = sizes[order].cumsum(0)
        self.register_buffer("offsets", torch.cat([offsets[:1], ends, ends[-1:]]))

    @classmethod
    def outline(cls, *, tags: Mapping[str, Any], num_ids: int, num_tags: int, alpha: float) -> Self:
        """One of the same shape, whose ids and bags come with the state dict."""
        check_positive(num_ids=num_ids, num_tags=num_tags)
        one, encoding = first_id(), cast(Encoding, build(tags))
        features = cls(encoding, one, one, torch.arange(2, device="cpu"), alpha=alpha)
        features.ids = torch.zeros(num_ids, dtype=torch.int64)
        features.bags = torch.zeros(num_tags, dtype=torch.int64)
        features.offsets = torch.full((num_ids + 2,), num_tags)
        features.offsets[0] = 0
        return features

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Encode the tags of each id; each distinct tag of a batch is encoded once.

        Raises:
            InputError: ids that are no integers.
        """
        ids = tensor_ids(ids)
        codes: Tensor = self.pool(self.bags, self.offsets, _find(self.ids, ids.flatten()))
        return codes.view(*ids.shape, self.width)

    @property
    def width(self) -> int:
        """The width of a tag's code."""
        return self.tags.width

    @property
    def std(self) -> float:
        """Standard deviation of the codes of bags that are not empty, at the start.

        That of a tag for an outline, which has no values.
        """
        if self.offsets.is_meta:
            return self.tags.std
        sizes = self.offsets.diff().double()
        power = 1 - 2 * self.pool.alpha
        return self.tags.std * (sizes[sizes > 0] ** power).mean().sqrt().item()

    def config(self) -> dict[str, object]:
        """The kind of encoding, its shape and its tags'; ids and bags are in the state dict."""
        return {
            "encoding": "bag_features",
            "tags": self.tags.config(),
            "num_ids": len(self.ids),
            "num_tags": len(self.bags),
            "alpha": self.pool.alpha,
        }


def standardise(
    values: Float[Tensor, "n features"], like: Float[Tensor, "m features"] | None = None
) -> Float[Tensor, "n features"]:
    """Numbers with mean 0 and standard deviation 1 in each column; a missing one, NaN, becomes 0.

    A column of one number alone, or of none, becomes 0.

    Args:
        values: numbers of any scale.
        like: numbers whose mean and deviation count instead, such as those known in training.

    Raises:
        InputError: no matrix of floats, an infinite number, or two matrices of different width.

    Example:
        >>> standardise(torch.tensor([[10.0], [30.0], [float("nan")]])).flatten()
        tensor([-1.,  1.,  0.])
    """
    like = values if like is None else like
    for matrix in (values, like):
        if matrix.ndim != 2 or not matrix.is_floating_point() or matrix.isinf().any():
            raise InputError(
                f"numbers must be a matrix of floats, none of them infinite; got {matrix.dtype} of "
                f"shape {tuple(matrix.shape)}"
            )
    if values.shape[1] != like.shape[1]:
        raise InputError(
            f"both must have the same features, got {values.shape[1]} and {like.shape[1]} columns"
        )
    # In float64, for years or prices in float32 lose digits to their mean.
    mean = like.double().nanmean(0)
    std = (like.double() - mean).square().nanmean(0).sqrt()
    is_constant = std <= 1e-12 * mean.abs()  # but for rounding
    scale = torch.where(is_constant, torch.inf, std)
    return ((values.double() - mean) / scale).nan_to_num(0.0).to(values.dtype)


def multi_hot(
    column: Sequence[str | None],
    *,
    separator: str | None = None,
    categories: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], Float[Tensor, "n categories"]]:
    """A number for each category: 1 where a row has it, 0 elsewhere.

    Args:
        column: a category for each row, or several; none where it is None or empty.
        separator: between the categories of a row, as in "Action|Comedy".
        categories: those of the columns; by default all that occur, sorted. Others count as none.

    Returns:
        The categories, and float32 `[n, categories]`.

    Raises:
        InputError: no category, too many, or a value that is no string.

    Example:
        >>> multi_hot(["Action|Comedy", "Comedy", None], separator="|")
        (('Action', 'Comedy'), tensor([[1., 1.],
                [0., 1.],
                [0., 0.]]))
    """
    for row, value in enumerate(column):
        if not isinstance(value, str | None):
            raise InputError(f"categories must be strings or None, got {value!r:.50} in row {row}")
    rows = [(value.split(separator) if separator else [value]) if value else [] for value in column]
    found = sorted({category for row in rows for category in row if category})
    names = tuple(found if categories is None else categories)
    if not 0 < len(names) <= MAX_CATEGORIES:
        raise InputError(
            f"a column must have 1 to {MAX_CATEGORIES} categories, got {len(names)}: leave it out, "
            "or hash its values and take them as BagFeatures"
        )
    positions = {name: position for position, name in enumerate(names)}
    pairs = [
        (row, positions[category])
        for row, of_row in enumerate(rows)
        for category in of_row
        if category in positions
    ]
    values = torch.zeros(len(rows), len(names))
    if pairs:
        values[tuple(torch.tensor(pairs).T)] = 1.0
    return names, values


def _sorted(ids: Tensor) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Rising ids and the order that they came in, or an InputError if they are not distinct."""
    ids = tensor_ids(ids)
    if ids.ndim != 1 or not len(ids):
        raise InputError(f"ids must be a vector of at least one id, got shape {tuple(ids.shape)}")
    rising, order = ids.sort()
    repeated = rising[1:][rising[1:] == rising[:-1]]
    if len(repeated):
        raise InputError(
            f"ids must be distinct, got {int(repeated[0])} more than once: keep one row an id"
        )
    return rising, order


def _check_offsets(offsets: Tensor, num_ids: int, num_tags: int) -> None:
    if not num_tags:
        raise InputError("bags must have a tag at least, got none: leave the encoding out")
    wanted = (
        f"offsets must be {num_ids + 1} numbers that rise from 0 to {num_tags}, the tags in all"
    )
    if offsets.shape != (num_ids + 1,):
        raise InputError(f"{wanted}; got shape {tuple(offsets.shape)}")
    first, last, step = int(offsets[0]), int(offsets[-1]), int(offsets.diff().min())
    if (first, last) != (0, num_tags) or step < 0:
        raise InputError(f"{wanted}; got {first} to {last}, in steps of at least {step}")


def _find(known: Int[Tensor, " n"], ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
    """The position of each id among the known ones, which rise; n for any other."""
    n = len(known)
    position = torch.searchsorted(known, ids)
    return torch.where(known[position.clamp(max=n - 1)] == ids, position, n)
