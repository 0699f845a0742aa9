"""Columns that give the label away: how well each tells it alone.

The mean label of each value is counted on one half of a sample and tried on the other, where a
value that the first half lacks has the mean of all: the AUC (area under the ROC curve) of a column
is thus about .5 where its values tell nothing, however many they are. What gives the label away in
few rows is seen by values that come with one label alone.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from tablefree.fields.kinds import POSITIVE, Column
from tablefree.hashing import GOLDEN_GAMMA, mix64

SAMPLE = 200_000  # rows
SAMPLE_BYTES = 2**27
SUSPICIOUS = 0.99
FEWEST = 50  # rows of each label in a half, from which an AUC means something
BINS = 1_000  # of numbers, alike in rows: any dependence shows, not only a monotone one
ROUGH_BINS = 16  # in which neighbours of a size are alike, as those of a number are and codes not
SURE, FEWEST_SURE = 3, 20  # rows of a value, and of all such in the other half
CATEGORIES = ("categorical", "bag", "group")
CODES = 0.02  # of AUC: what integers tell more as codes than as numbers


class Sample:
    """Rows of a table, spread evenly over it: which ones depends on their places alone.

    Args:
        size: at most so many rows are kept, and at least half as many, where there are as many and
            they take no more than `num_bytes`.
        num_bytes: that rows may take, about.
    """

    def __init__(self, size: int = SAMPLE, num_bytes: int = SAMPLE_BYTES) -> None:
        self.size, self.num_bytes = size, num_bytes
        self._share = 1.0
        self._num_rows = 0
        self._kept: list[_Rows] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Take the next rows."""
        self._keep(_draws(self._num_rows, len(batch)), batch)
        self._num_rows += len(batch)
        while self._is_full():
            self._share /= 2
            kept, self._kept = self._kept, []
            for rows in kept:
                self._keep(rows.draws, rows.batch)

    def column(self, name: str) -> pl.Series | None:
        """The values of a column; None if their types do not go together."""
        tables = [pa.table([rows.batch.column(name)], [name]) for rows in self._kept]
        try:
            return pl.Series(
                pl.from_arrow(pa.concat_tables(tables, promote_options="permissive")[name])
            )
        except pa.ArrowException:
            return None

    def _is_full(self) -> bool:
        num_rows = sum(len(rows.draws) for rows in self._kept)
        return num_rows > self.size or sum(rows.num_bytes for rows in self._kept) > self.num_bytes

    def _keep(self, draws: NDArray[np.float64], batch: pa.RecordBatch) -> None:
        is_kept = draws < self._share
        if not is_kept.all():
            draws, batch = draws[is_kept], batch.filter(pa.array(is_kept))
        if len(draws):
            self._kept.append(_Rows(draws, batch, batch.nbytes))


class _Rows(NamedTuple):
    """Rows that are kept, the draws that let them be, and their size in bytes."""

    draws: NDArray[np.float64]
    batch: pa.RecordBatch
    num_bytes: int


class Trial:
    """How well columns of a sample tell its labels.

    Args:
        label: [n], as the table has them; rows without one do not count.
    """

    def __init__(self, label: pl.Series) -> None:
        self._is_known = label.is_not_null()
        self._truth = _are_positive(label.drop_nulls()).to_numpy()
        self._is_counted = _draws(0, len(self._truth)) < 0.5

    def auc(self, column: Column, values: pl.Series) -> float | None:
        """The AUC of the label from one column; the better direction of a number's.

        Args:
            column: what it is taken for.
            values: [n], as the table has them.

        Returns:
            None where there are too few rows of either label.
        """
        if column.kind in CATEGORIES:
            return self.of_categories(values)
        numbers = _numbers(values.filter(self._is_known), column.type)
        return self._of_numbers(numbers, BINS)

    def is_sure(self, column: Column, values: pl.Series) -> bool:
        """Whether some values of a column come with the rarer label alone.

        As what comes of a click does, which seldom comes: few rows have it, so that the AUC is low.
        They are found in the one half, and have to be so in the other.
        """
        known = values.filter(self._is_known)
        if column.kind in CATEGORIES:
            rows, codes = _codes(known)
        else:
            codes = binned(_numbers(known, column.type), BINS)
            rows = np.arange(len(codes))
        is_rare = self._truth if self._truth.mean() <= 0.5 else ~self._truth
        events, rare = self._counts(rows, codes, is_rare)
        is_sure = (events == rare) & (events >= SURE)
        chosen = (np.bincount(rows, is_sure[codes]) > 0) & ~self._is_counted
        return bool(chosen.sum() >= FEWEST_SURE and is_rare[chosen].mean() > SUSPICIOUS)

    def of_categories(self, values: pl.Series) -> float | None:
        """The AUC of the label from categories [n], or from bags of them."""
        return self._of_codes(*_codes(values.filter(self._is_known)))

    def as_codes(self, values: pl.Series) -> tuple[float, float] | None:
        """The AUCs of the label from integers [n] as categories and by their sizes.

        Returns:
            None unless the first is clearly larger (see `_both`).
        """
        as_categories, by_size, clear = self._both(values)
        return (as_categories, by_size) if as_categories - by_size > clear else None

    def as_sizes(self, values: pl.Series) -> bool:
        """Whether integers [n] tell the label clearly better by their sizes than as categories."""
        as_categories, by_size, clear = self._both(values)
        return by_size - as_categories > clear

    def _both(self, values: pl.Series) -> tuple[float, float, float]:
        """The AUCs of the label from integers, as categories and by size, and what is clear.

        That is `CODES`, or two standard errors of an AUC that tells nothing (Hanley and McNeil,
        "The Meaning and Use of the Area under a Receiver Operating Characteristic (ROC) Curve",
        1982). Of too few rows both AUCs are .5.
        """
        numbers = _numbers(values.filter(self._is_known), "integer")
        as_categories, by_size = self.of_categories(values), self._of_numbers(numbers, ROUGH_BINS)
        if as_categories is None or by_size is None:
            return 0.5, 0.5, CODES
        tried = self._truth[~self._is_counted]
        positives, negatives = int(tried.sum()), int((~tried).sum())
        error = ((positives + negatives + 1) / (12 * positives * negatives)) ** 0.5
        return as_categories, by_size, max(CODES, 2 * error)

    def _of_numbers(self, numbers: NDArray[np.float64], num_bins: int) -> float | None:
        """The AUC of the label from numbers in bins, or from their order where that tells more."""
        in_bins = self._of_codes(np.arange(len(numbers)), binned(numbers, num_bins))
        ordered = self._of_order(numbers)
        return in_bins if ordered is None or in_bins is None else max(in_bins, ordered)

    def _of_order(self, numbers: NDArray[np.float64]) -> float | None:
        """The AUC of the label from the order of numbers, in the better direction."""
        known = ~np.isnan(numbers)
        if not _are_enough(self._truth[known]):
            return None
        auc = _auc(numbers[known], self._truth[known])
        return max(auc, 1 - auc)

    def _of_codes(self, rows: NDArray[np.int64], codes: NDArray[np.int64]) -> float | None:
        """The AUC of the mean label of a row's values.

        Args:
            rows: [m], the row of a value; each row has at least one.
            codes: [m], of the value, from 0.
        """
        truth, is_counted = self._truth, self._is_counted
        if not _are_enough(truth[is_counted]) or not _are_enough(truth[~is_counted]):
            return None
        events, positives = self._counts(rows, codes, truth)
        means = (positives + truth[is_counted].mean()) / (events + 1)
        scores = np.bincount(rows, means[codes]) / np.bincount(rows)
        return _auc(scores[~is_counted], truth[~is_counted])

    def _counts(
        self, rows: NDArray[np.int64], codes: NDArray[np.int64], truth: NDArray[np.bool_]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Of each code how often it occurs in the half that is counted, and how often truly."""
        counted = self._is_counted[rows]
        size = int(codes.max()) + 1
        events = np.bincount(codes[counted], minlength=size)
        return events, np.bincount(codes[counted & truth[rows]], minlength=size)


def _auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """The share of pairs of a positive and a negative that scores order rightly; ties are halves.

    Not by torchmetrics, which takes as much memory to import as all the rest of a profile.
    """
    positives = int(truth.sum())
    ranks = pl.Series(scores).rank().to_numpy()[truth].sum()
    pairs = positives * (len(truth) - positives)
    return float((ranks - positives * (positives + 1) / 2) / pairs)


def _codes(values: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of categories [n], or bags of them, the row of each value and its code; null has code 0."""
    rows = values.alias("value").to_frame().with_row_index("row")
    if isinstance(values.dtype, pl.List | pl.Array):
        rows = rows.cast({"value": pl.List(values.dtype.inner)})
        # Versions of Polars differ in what an empty list becomes.
        rows = rows.with_columns(pl.when(pl.col("value").list.len() > 0).then("value"))
        rows = rows.explode("value")
    codes = rows["value"].rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    return rows["row"].cast(pl.Int64).to_numpy(), codes


def _are_positive(label: pl.Series) -> pl.Series:
    text = label.cast(pl.String).str.to_lowercase().str.strip_prefix("+")
    return text.str.replace(r"\.0+$", "").is_in(POSITIVE)


def _numbers(values: pl.Series, kind: str) -> NDArray[np.float64]:
    """Numbers in the order of the values; NaN for null."""
    if kind == "date" and values.dtype == pl.String:
        values = values.rank("dense")  # as text of one form has them in order
    numbers = values.to_physical().cast(pl.Float64, strict=False)
    return numbers.fill_null(float("nan")).to_numpy()


def binned(numbers: NDArray[np.float64], num_bins: int) -> NDArray[np.int64]:
    """Codes of numbers, each of about as many rows; NaN has one of its own."""
    known = numbers[~np.isnan(numbers)]
    num_bins = min(num_bins, max(2, len(known) // FEWEST))
    edges = np.unique(np.quantile(known, np.linspace(0, 1, num_bins))) if len(known) else known
    return np.where(np.isnan(numbers), 0, 1 + np.searchsorted(edges, numbers, side="right"))


def _are_enough(truth: NDArray[np.bool_]) -> bool:
    return FEWEST <= int(truth.sum()) <= len(truth) - FEWEST


def _draws(start: int, count: int) -> NDArray[np.float64]:
    """Numbers evenly in [0, 1) for `count` places from `start` on."""
    places = np.arange(start, start + count, dtype=np.uint64)
    return mix64(places + np.uint64(GOLDEN_GAMMA)) / 2.0**64
