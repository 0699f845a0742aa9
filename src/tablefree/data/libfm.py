"""libFM's text files of categorical fields (Rendle 2012), the form of Frappe (Baltrunas 2015).

A line is `label feature:1 feature:1 …`: one one-hot feature for each of a fixed number of fields,
of which the first is the user and the second the item. Only these two are read: further fields
(context, such as the time of day) have no place in `Interactions`, whose models have two features.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from tablefree.errors import InputError

FIELDS = (
    r"^\s*(?<label>\S+)"
    r"\s+(?<user>[^\s:]+):(?<user_value>\S+)"
    r"\s+(?<item>[^\s:]+):(?<item_value>\S+)"
)


def read_files(paths: Sequence[Path]) -> pl.DataFrame:
    """Read files one after the other.

    Args:
        paths: `.libfm` or `.libfm.gz` files.

    Returns:
        Columns `user` and `item` (int64, the numbers of the features) and `label` (0 or 1), a row
        for each line that is not blank.

    Raises:
        InputError: A file that cannot be read or has no lines, the same file packed and unpacked,
            or a line in another form; the message names the file and the first such line.
    """
    if len({path.name.removesuffix(".gz") for path in paths}) < len(paths):
        raise InputError(
            f"{paths[0].parent} holds the same file packed and unpacked: remove one of the two"
        )
    return pl.concat([_read_file(path) for path in paths])


def _read_file(path: Path) -> pl.DataFrame:
    lines = _read_lines(path)
    if not lines.height:
        raise InputError(f"{path} holds no lines: pass a file with at least one interaction")
    fields = pl.col("line").str.extract_groups(FIELDS).struct.unnest()
    num_features = pl.col("line").str.count_matches(":", literal=True).alias("num_features")
    text = lines.select("number", fields, num_features)
    numbers = text.with_columns(
        pl.col("user", "item").cast(pl.Int64, strict=False),
        pl.col("label", "user_value", "item_value").cast(pl.Float64, strict=False),
    )
    _check(text, numbers, path)
    return numbers.select("user", "item", label=(pl.col("label") == 1).cast(pl.Int8))


def _check(text: pl.DataFrame, numbers: pl.DataFrame, path: Path) -> None:
    """Refuse what is in another form; a null of `numbers` is what is none in `text`."""
    first, width = text["number"][0], text["num_features"][0]
    is_label = numbers["label"].is_in([-1.0, 0.0, 1.0]).fill_null(False)
    for wrong, reason in (
        (text["item"].is_null(), "has no two features (user and item) after a label"),
        (
            text["num_features"] != width,
            f"has {{num_features}} features, and line {first} has {width}: every line has one for "
            "each field",
        ),
        (~is_label, "has the label {label!r}, which must be 1, -1 or 0"),
        (numbers["user"].is_null(), "has the user {user!r}, which is no integer of 64 bits"),
        (numbers["item"].is_null(), "has the item {item!r}, which is no integer of 64 bits"),
        (
            numbers["user_value"].ne_missing(1) | numbers["item_value"].ne_missing(1),
            "has the values {user_value} (user) and {item_value} (item), and both must be 1",
        ),
    ):
        if wrong.any():
            row = text.row(int(wrong.arg_max() or 0), named=True)
            raise InputError(
                f"line {row['number']} of {path} {reason.format(**row)}: correct it to the form "
                "`label user:1 item:1 …`"
            )


def _read_lines(path: Path) -> pl.DataFrame:
    """Return the lines that are not blank, with their numbers from 1."""
    lines = pl.scan_csv(
        path,
        separator="\x1f",  # no text has it: one column holds the whole line
        has_header=False,
        quote_char=None,
        schema={"line": pl.String},
        glob=False,
        raise_if_empty=False,
    ).with_row_index("number", offset=1)
    try:
        return lines.filter(pl.col("line").str.contains(r"\S")).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} cannot be read ({reason}): is it whole and text?") from error
