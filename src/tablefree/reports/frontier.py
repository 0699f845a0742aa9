"""Accuracy against bytes: what each packed form reaches, and what is best for a number of bytes.

A form is chosen by validation and stated on test. Ratios are to the full table in float32 with its
vocabulary, and differences to the same table with the same seeds.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tablefree.experiments.forms import RUN
from tablefree.experiments.results import CELL
from tablefree.reports.summary import Row, auc, cell_name, megabytes, signed, spread

_KIND = ("users", "side_features", "decoder")
_AUCS = ("validation_auc", "test_auc", "recall_20")
_MEANS = (
    *_AUCS,
    "deployed_bytes",
    "training_bytes",
    "vocabulary_bytes",
    "full_bytes",
    "difference",
)
_BEST_FIRST: dict[str, Any] = {"by": "validation_auc", "descending": True, "nulls_last": True}


@dataclass(frozen=True)
class Frontier:
    """What the forms of a section reach, in rows of means over seeds.

    Beside its names, bytes and AUCs, a row has `seeds` (how many have a test AUC), `test_auc_sd`
    (None for one), `vocabulary_bytes`, and, None without the full table, `full_bytes` of it and
    the `difference` of the test AUC to its.

    Attributes:
        full: the full table in float32; None until it is measured.
        points: every form of every method at every size.
        chosen: for each budget the form that each method has in it; the largest budget first, and
            the best in validation.
    """

    full: Row | None
    points: Sequence[Row]
    chosen: Sequence[Row]

    @property
    def by_budget(self) -> dict[int, list[Row]]:
        """Budget in bytes, the largest first → what is chosen for it, the best first."""
        budgets: dict[int, list[Row]] = {}
        for row in self.chosen:
            budgets.setdefault(row["budget_bytes"], []).append(row)
        return budgets


def measure(forms: pl.DataFrame, results: pl.DataFrame) -> Frontier:
    """Average the forms of one section over seeds.

    Args:
        forms: rows of `tablefree.experiments.forms.SCHEMA`.
        results: rows of `tablefree.experiments.results.SCHEMA` of one data set, split and model.
            Forms of other runs, and of trials that are not selected, are left out.
    """
    run = ["dataset", "split", *RUN, "trial"]
    runs = results.filter("selected").select(*run, "study", "variant", "vocabulary_bytes")
    forms = _beside_the_full_table(forms.join(runs, on=run))
    # A form is tried for several budgets, and may have learned further for one of them.
    tried = forms.sort(**_BEST_FIRST).unique([*RUN, "form"], keep="first")
    points = _over_seeds(tried, *CELL, "form").sort(*CELL, "deployed_bytes", "form")
    of_method = [name for name in CELL if name != "size"]
    chosen = (
        _over_seeds(forms.filter("chosen"), *CELL, "budget_bytes")
        .sort(**_BEST_FIRST)
        .unique([*of_method, "budget_bytes"], keep="first", maintain_order=True)
        .sort("budget_bytes", descending=True, maintain_order=True)
    )
    full = _over_seeds(_full_table(forms), *CELL, "form").to_dicts()
    is_known = full and full[0]["test_auc"] is not None
    return Frontier(full[0] if is_known else None, points.to_dicts(), chosen.to_dicts())


def measured(rows: Iterable[Row]) -> list[Row]:
    """Those that did not diverge."""
    return [row for row in rows if None not in (row["validation_auc"], row["test_auc"])]


def best_at_no_more_bytes(points: Iterable[Row]) -> list[Row]:
    """The points that none of as few bytes surpasses in validation, the fewest bytes first."""
    best: list[Row] = []
    for row in sorted(
        measured(points), key=lambda row: (row["deployed_bytes"], -row["validation_auc"])
    ):
        if not best or row["validation_auc"] > best[-1]["validation_auc"]:
            best.append(row)
    return best


def _full_table(forms: pl.DataFrame) -> pl.DataFrame:
    """The full table in float32, a row a seed: of ids and nothing else, if that was compared."""
    full = forms.filter(method="full_table", form="float32")
    plain = full.sort(pl.col("users") != "id", "decoder", pl.col("side_features") != "none")
    return full.join(plain.select(_KIND).head(1), on=_KIND)


def _beside_the_full_table(forms: pl.DataFrame) -> pl.DataFrame:
    """Add `full_bytes` and `difference`; what is no number is null."""
    forms = forms.with_columns(pl.col(_AUCS).fill_nan(None))
    full = _full_table(forms)
    return forms.join(full.select("seed", of_full="test_auc"), on="seed", how="left").with_columns(
        full_bytes=pl.lit(full["deployed_bytes"].max(), pl.Float64),
        difference=pl.col("test_auc") - pl.col("of_full"),
    )


def _over_seeds(rows: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Means, and all forms where seeds have different ones."""
    form = [pl.col("form").unique().sort().str.join(" or ")] if "form" not in by else []
    return rows.group_by(by).agg(
        *form,
        pl.col("seed").filter(pl.col("test_auc").is_not_null()).n_unique().alias("seeds"),
        pl.col("test_auc").std().alias("test_auc_sd"),
        pl.col(_MEANS).cast(pl.Float64).mean(),
    )


def share(row: Row, of: str = "deployed_bytes") -> str:
    """Bytes of a row as a ratio to the full table's: 1/5.7, 1/17; - without the full table."""
    if row["full_bytes"] is None:
        return "-"
    parts = row["full_bytes"] / row[of]
    if parts < 0.95:
        return f"{1 / parts:.2g}"
    text = f"{parts:.1f}".removesuffix(".0") if parts < 9.95 else f"{parts:.0f}"
    return "1" if text == "1" else f"1/{text}"


def budget(row: Row) -> str:
    """What a form was chosen for: 1/16 (82.7 KB); the bytes alone without the full table."""
    size = megabytes(row["budget_bytes"])
    return size if row["full_bytes"] is None else f"{share(row, 'budget_bytes')} ({size})"


FORM_TABLE: Mapping[str, Callable[[Row], str]] = {
    "Method": cell_name,
    "Form": lambda row: row["form"],
    "Deployed bytes": lambda row: megabytes(row["deployed_bytes"]),
    "Ratio": share,
    "Test AUC": lambda row: spread(row["test_auc"], row["test_auc_sd"]),
    "To the full table": lambda row: signed(row["difference"]),
    "Recall@20": lambda row: auc(row["recall_20"]),
    "Bytes in training": lambda row: megabytes(row["training_bytes"]),
    "Vocabulary": lambda row: (
        megabytes(row["vocabulary_bytes"]) if row["vocabulary_bytes"] else "none"
    ),
    "Seeds": lambda row: f"{row['seeds']}",
}
"""Heading → how the cell of a chosen form reads."""

FORM_GLOSSARY = {
    "Size": "what it was trained for: packed bytes as a ratio to the full table's in float32; 1 "
    "for what is trained once, and packed for every number of bytes.",
    "Deployed bytes": "of the packed user and item embeddings with their vocabularies, codebooks "
    "and decoders, as they lie in memory and in files.",
    "Ratio": "of deployed bytes to those of the full table in float32 with its vocabulary.",
    "Within": "the deployed bytes that a form was chosen for: of those that fit the best in "
    "validation.",
    "Form": "what the bytes of a row are: float16, int8, int4; levels-4, for each number the "
    "choice of one of 2^4 levels; product-8x6, 8 codes of 6 bits, each for some of the numbers; "
    "residual-4x8, 4 codes of 8 bits, whose rows add up.",
    "Frontier": "the forms that none of as few bytes surpasses in validation.",
    "To the full table": "the difference in test AUC to the full table in float32 of the same "
    "seeds.",
    "Bytes in training": "of the embeddings and their gradients' moments.",
}
"""Words of a report in bytes, in place of those of the same name."""
