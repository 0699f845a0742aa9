"""Ids of a column in the one type of their feature: integers as they are, or strings to be hashed.

A typed column has its type. Text has none: it is decided from all values, for a guess from the
first would turn the ISBN "0060393203" into a number, or fail at "B0002E1G5C" a million rows later;
and where few values would decide for all, the caller has to.
"""

import polars as pl

from tablefree.data.parts import Rows
from tablefree.errors import InputError
from tablefree.ids import IdType

INTEGER = r"^(0|-?[1-9][0-9]*)$"  # what a leading zero, a sign or a space would lose
DIGITS = r"^[0-9]+$"
GROUPED = r"^[+-]?[0-9]{1,3}([,_ .'][0-9]{3})+$"
LINE_BREAK = r"[\r\n]"
AS_STRINGS = "correct it, or say that the ids are strings (id_type, --id-type string)"


def typed_ids(
    ids: pl.Series,
    rows: Rows,
    id_type: IdType | None = None,
    *,
    is_text: bool = False,
    text_type: IdType | None = None,
) -> pl.Series:
    """The ids, none of them missing, as 64-bit integers, strings or bytes.

    Args:
        ids: named after their feature.
        rows: where they are.
        id_type: what they are to be. By default what a typed column has; text is integers if all
            of it is, each as a program would write it, and strings otherwise.
        is_text: whether the values are text of a file without types.
        text_type: what text is, where that is known: nothing is guessed then.

    Raises:
        InputError: a missing id, what is no id, no integer where they are to be integers; or text
            of which most is integers but not all. The message names the first such row.
    """
    if ids.dtype == pl.Null and len(ids):
        raise _missing(ids, rows, 0, len(ids))
    if ids.dtype.is_float() or ids.dtype.is_decimal():
        raise InputError(
            f"the {ids.name} ids of {rows.source} are floats ({ids.dtype}, such as "
            f"{ids.drop_nulls().head(1).to_list()}): ids must be integers or strings; convert the "
            "column first"
        )
    if isinstance(ids.dtype, (pl.Categorical, pl.Enum)):
        ids = ids.cast(pl.String)
    if not (_is_integer(ids) or ids.dtype in (pl.String, pl.Binary, pl.Null)):
        raise InputError(
            f"the {ids.name} ids of {rows.source} are of type {ids.dtype}: ids must be integers or "
            "strings"
        )
    missing = ids.is_null()
    if not _is_integer(ids):
        missing |= (ids.cast(pl.Binary).bin.size() == 0).fill_null(True)
    if missing.any():
        raise _missing(ids, rows, missing.arg_max(), int(missing.sum()))
    if _is_integer(ids):
        integers = ids.cast(pl.UInt64 if ids.dtype == pl.UInt64 else pl.Int64)
        return integers.cast(pl.String) if id_type == "string" else integers
    if "integer" in (id_type, text_type if is_text else None):
        return _integers(ids, rows)
    if not is_text or id_type == "string":
        return ids
    return _without_space(ids, rows) if text_type == "string" else _guessed(ids, rows)


def id_type_of(ids: pl.Series) -> IdType:
    """The type of ids that `typed_ids` gave."""
    return "integer" if ids.dtype.is_integer() else "string"


def _is_integer(ids: pl.Series) -> bool:
    return ids.dtype.is_integer() and ids.dtype not in (pl.Int128, getattr(pl, "UInt128", None))


def _missing(ids: pl.Series, rows: Rows, first: int | None, count: int) -> InputError:
    return InputError(
        f"{rows.at(first)} has no {ids.name} id ({count} such {rows.word}s in all): remove these "
        f"{rows.word}s or fill them in"
    )


def _integers(text: pl.Series, rows: Rows, remedy: str = "correct it") -> pl.Series:
    """All as integers, of int64 or, where they are larger, uint64."""
    if text.dtype == pl.Binary:
        raise InputError(f"the {text.name} ids of {rows.source} are bytes, which are no integers")
    is_plain = text.str.contains(INTEGER)
    for dtype in (pl.Int64, pl.UInt64):
        integers = text.set(~is_plain, None).cast(dtype, strict=False)
        if not integers.null_count():
            return integers
        if is_plain.all() and dtype == pl.Int64:
            continue
        at = integers.is_null().arg_max()
        what = "no integer of 64 bits as a program writes it, or none beside the others"
        raise _odd(text, rows, at, what, remedy)
    raise AssertionError


def _guessed(text: pl.Series, rows: Rows) -> pl.Series:
    is_plain = text.str.contains(INTEGER)
    if is_plain.all():
        too_long = text.cast(pl.Int64, strict=False).is_null()
        too_long &= text.cast(pl.UInt64, strict=False).is_null()
        if too_long.all():
            return text
        if too_long.any():
            at = too_long.arg_max()
            raise _odd(text, rows, at, "an integer of more than 64 bits, unlike others", AS_STRINGS)
        return _integers(text, rows, AS_STRINGS)
    _without_space(text, rows)
    is_number = text.cast(pl.Float64, strict=False).is_not_null() | text.str.contains(GROUPED)
    is_code = text.str.contains(DIGITS).all() and (
        not is_plain.any() or text.str.len_bytes().n_unique() == 1
    )
    if 2 * int(is_number.sum()) >= len(text) and not is_code:
        what = "no integer as a program writes it, where most are numbers"
        raise _odd(text, rows, (~is_plain).arg_max(), what, AS_STRINGS)
    return text


def _without_space(text: pl.Series, rows: Rows) -> pl.Series:
    """The same strings, or an InputError for one that another program would not find again."""
    is_odd = (text != text.str.strip_chars()) | text.str.contains(LINE_BREAK)
    if is_odd.any():
        what = "with a space around it, or a line break within"
        raise _odd(text, rows, is_odd.arg_max(), what, AS_STRINGS)
    return text


def _odd(text: pl.Series, rows: Rows, at: int | None, what: str, remedy: str) -> InputError:
    value = text[int(at or 0)][:50]
    return InputError(f"{rows.at(at)} has the {text.name} id {value!r}, {what}: {remedy}")
