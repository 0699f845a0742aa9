"""libFM's text files of categorical fields (Rendle 2012), the form of Frappe (Baltrunas 2015).

A line is `label feature:1 feature:1 …`: one one-hot feature for each of a fixed number of fields,
of which the first is the user and the second the item. `Interactions`, whose models have two
features, hold only these two; `read_files` reads further fields (context, such as the time of day)
for models of many features.
"""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import polars as pl

from tablefree.errors import InputError


def read_files(paths: Sequence[Path], fields: Sequence[str] = ("user", "item")) -> pl.DataFrame:
    """Read files one after the other.

    Args:
        paths: `.libfm` or `.libfm.gz` files.
        fields: names for as many of a line's features, from the first on, as are wanted.

    Returns:
        A column for each of `fields` (int64, the numbers of the features) and `label` (0 or 1), a
        row for each line that is not blank.

    Raises:
        InputError: A file that cannot be read or has no lines, the same file packed and unpacked,
            or a line in another form; the message names the file and the first such line. Names
            that are not distinct, or "label".

    Example:
        >>> read_files([Path("frappe.libfm")], ["user", "item", "daytime"])  # doctest: +SKIP
    """
    if len({*fields, "label"}) <= len(fields):
        raise InputError(
            f"fields need distinct names other than 'label', got {', '.join(map(repr, fields))}"
        )
    if len({path.name.removesuffix(".gz") for path in paths}) < len(paths):
        raise InputError(
            f"{paths[0].parent} holds the same file packed and unpacked: remove one of the two"
        )
    return pl.concat([_read_file(path, fields) for path in paths])


def num_fields(path: Path) -> int:
    """How many features the first line of a file has; 0 for a file without lines.

    Raises:
        InputError: the file cannot be read.
    """
    lines = _read_lines(path)
    return int(lines["line"][0].count(":")) if lines.height else 0


def _read_file(path: Path, fields: Sequence[str]) -> pl.DataFrame:
    lines = _read_lines(path)
    if not lines.height:
        raise InputError(f"{path} holds no lines: pass a file with at least one interaction")
    features, values = _columns("feature", fields), _columns("value", fields)
    form = r"^\s*(\S+)" + r"\s+([^\s:]+):(\S+)" * len(fields)
    names = ["label", *chain.from_iterable(zip(features, values, strict=True))]
    groups = pl.col("line").str.extract_groups(form).struct.rename_fields(names).struct.unnest()
    num_features = pl.col("line").str.count_matches(":", literal=True).alias("num_features")
    text = lines.select("number", groups, num_features)
    numbers = text.with_columns(
        pl.col(features).cast(pl.Int64, strict=False),
        pl.col("label", *values).cast(pl.Float64, strict=False),
    )
    _check(text, numbers, path, fields)
    label = (pl.col("label") == 1).cast(pl.Int8)
    columns = zip(fields, features, strict=True)
    return numbers.select(*(pl.col(one).alias(name) for name, one in columns), label)


def _columns(what: str, fields: Sequence[str]) -> list[str]:
    """Names of columns of features or values, which no field's name can clash with."""
    return [f"{what} {number}" for number in range(len(fields))]


def _check(text: pl.DataFrame, numbers: pl.DataFrame, path: Path, fields: Sequence[str]) -> None:
    """Refuse what is in another form; a null of `numbers` is what is none in `text`."""
    first, width = text["number"][0], text["num_features"][0]
    is_label = numbers["label"].is_in([-1.0, 0.0, 1.0]).fill_null(False)
    checks = [
        (
            text["label"].is_null(),
            f"has no {len(fields)} features ({', '.join(fields)}) after a label",
        ),
        (
            text["num_features"] != width,
            f"has {{num_features}} features, and line {first} has {width}: every line has one for "
            "each field",
        ),
        (~is_label, "has the label {label!r}, which must be 1, -1 or 0"),
    ]
    for number, name in enumerate(fields):
        feature, value = f"feature {number}", f"value {number}"
        checks += [
            (
                numbers[feature].is_null(),
                f"has the {name} {{{feature}!r}}, which is no integer of 64 bits",
            ),
            (numbers[value].ne_missing(1), f"has the {name}'s value {{{value}}}, which must be 1"),
        ]
    for wrong, reason in checks:
        if wrong.any():
            row = text.row(int(wrong.arg_max() or 0), named=True)
            raise InputError(
                f"line {row['number']} of {path} {reason.format(**row)}: correct it to the form "
                "`label feature:1 feature:1 …`"
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
