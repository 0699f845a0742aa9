"""Files whose owners say what their columns are: Criteo's and Avazu's click logs, libFM's text.

Criteo's files (its challenge of 2014 and its logs of a terabyte) have no line of names: a label,
13 counts and 26 hashed strings, separated by tabs. Avazu's (its challenge of 2014) have a header.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa
from pyarrow import compute

from tablefree.data import libfm
from tablefree.data.parser import HEAD
from tablefree.data.parts import Part, form_of, reading

TEXT_ENDS = {"", ".txt", ".log"}
LINES = 100  # of a file's first, by which Criteo's are known
CRITEO_LINE = re.compile(r"^([01]\t)?(-?\d+)?(\t(-?\d+)?){12}(\t([0-9a-f]{8})?){26}$")
FRAPPE = ("daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")


@dataclass(frozen=True)
class Form:
    """What the owner of a file says of its columns.

    Attributes:
        name: of the form, for the user.
        kinds: for each column its kind and the type of its values (see `kinds.Column`).
        left_out: columns that are not for models, and why.
    """

    name: str
    kinds: Mapping[str, tuple[str, str]]
    left_out: Mapping[str, str]

    @property
    def columns(self) -> list[str]:
        """The names, in no file's order."""
        return [*self.kinds, *self.left_out]


CRITEO = Form(
    "Criteo",
    {
        "label": ("label", "integer"),
        **{f"I{number}": ("numeric", "integer") for number in range(1, 14)},
        **{f"C{number}": ("categorical", "string") for number in range(1, 27)},
    },
    {},
)
_AVAZU_STRINGS = [
    *("site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category"),
    *("device_id", "device_ip", "device_model"),
]
_AVAZU_INTEGERS = [
    *("C1", "banner_pos", "device_type", "device_conn_type"),
    *(f"C{number}" for number in range(14, 22)),
]
AVAZU = Form(
    "Avazu",
    {
        "click": ("label", "integer"),
        "hour": ("time", "date"),
        **dict.fromkeys(_AVAZU_STRINGS, ("categorical", "string")),
        **dict.fromkeys(_AVAZU_INTEGERS, ("categorical", "integer")),
    },
    {"id": "Avazu's number of the row"},
)


def form_of_columns(columns: Sequence[str]) -> Form | None:
    """Avazu's, by its header, with the label or without; None for any other names."""
    return AVAZU if sorted({*columns, "click"}) == sorted(AVAZU.columns) else None


def avazu_hours(column: pa.Array) -> pa.Array:
    """Avazu's hours, YYMMDDHH as text or integers, as timestamps."""
    text = compute.cast(column, pa.string())
    with reading("Avazu's column 'hour', as 14102100,"):
        return compute.strptime(text, format="%y%m%d%H", unit="s")


def criteo_parts(parts: Sequence[Part]) -> tuple[list[Part], list[str]] | None:
    """Criteo's files, read as such whatever their names end with, and the names of the columns.

    There may be no label, as in the files to be predicted. None for others' files.
    """
    if not parts or any(part.form not in (None, "csv", "tsv") for part in parts):
        return None
    with reading(parts[0].path), parts[0].open() as file:
        head = file.read(HEAD)
    lines = head.decode("utf-8", "replace").splitlines()
    whole = lines if len(head) < HEAD else lines[:-1]
    found = [CRITEO_LINE.match(line) for line in whole[:LINES]]
    has_label = {match is not None and match[1] is not None for match in found}
    if not all(found) or len(has_label) != 1:
        return None
    names = CRITEO.columns if has_label == {True} else CRITEO.columns[1:]
    return [TextPart(part.system, part.path, part.partition, "tsv") for part in parts], names


def libfm_table(parts: Sequence[Part]) -> tuple[pa.Table, Form] | None:
    """All fields of libFM's files, in memory; None if they are in another form.

    The first is the user and the second the item; Frappe's others have names of their own.
    """
    if not parts or any(form_of(part.path) != "libfm" for part in parts):
        return None
    with reading(parts[0].path):
        num_fields = libfm.num_fields(Path(parts[0].path))
    is_frappe = num_fields == 10 and "frappe" in Path(parts[0].path).name.lower()
    others = FRAPPE if is_frappe else [f"field_{number}" for number in range(3, num_fields + 1)]
    fields = ["user", "item", *others][:num_fields]
    table = libfm.read_files([Path(part.path) for part in parts], fields).to_arrow()
    kinds = {**dict.fromkeys(fields, ("categorical", "integer")), "label": ("label", "integer")}
    return table, Form("Frappe" if is_frappe else "libFM", kinds, {})


def as_text(parts: Sequence[Part]) -> list[Part]:
    """A file whose name does not say its form, as text of whatever separator; else the same."""
    ends = {PurePosixPath(part.path.lower().removesuffix(".gz")).suffix for part in parts}
    if len(parts) != 1 or not ends <= TEXT_ENDS:
        return list(parts)
    return [TextPart(part.system, part.path, part.partition, "csv") for part in parts]


@dataclass(frozen=True)
class TextPart(Part):
    """A file of text, whatever its name ends with.

    Attributes:
        told: its form, of `parts.FORMS`.
    """

    told: str = "csv"

    @property
    def form(self) -> str:
        """Of `parts.FORMS`."""
        return self.told
