"""Where data lies: the files behind a path, a folder of parts, a pattern or an fsspec address.

fsspec finds files, on this machine or elsewhere; Arrow unpacks them as they are read.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from tablefree.errors import InputError, TablefreeError

FORMS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".inter": "recbole",
    ".user": "recbole",
    ".item": "recbole",
    ".libfm": "libfm",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}
SIDES = {".user": "user", ".item": "item"}  # RecBole's files beside those of events
CODECS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
PACKED_WITHIN = ("parquet", "libfm")  # what is read from places of a file, not as a stream
DELETED_ROWS = {"_delta_log": "Delta", ".hoodie": "Hudi"}
WILDCARDS = frozenset("*?[")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def side_of(path: str) -> str | None:
    """Whether a file is one of RecBole's "user" or "item", packed or not; None of others."""
    name = path.lower()
    for codec in CODECS:
        name = name.removesuffix(codec)
    return next((kind for end, kind in SIDES.items() if name.endswith(end)), None)


def of_events(parts: Sequence["Part"]) -> list["Part"]:
    """The files of a table of events, without those of RecBole's sides beside them."""
    return [part for part in parts if side_of(part.path) is None] or list(parts)


@dataclass(frozen=True)
class Part:
    """A file of a table.

    Attributes:
        system: the file system of fsspec that it is in.
        path: its path there.
        partition: what the names of its folders, as `day=1`, say of all its rows.
    """

    system: Any
    path: str
    partition: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def form(self) -> str | None:
        """One of the values of `FORMS`, by the file's name; None for any other name."""
        return form_of(self.path)

    def open(self) -> Any:
        """The bytes of the file, unpacked."""
        is_here = isinstance(self.system, LocalFileSystem)  # where a pipe is read too
        if is_here and Path(self.path).is_file():
            # A thread of Arrow that lets go of Python's file while Python ends aborts the process.
            file = pa.OSFile(self.path)
        else:
            file = pa.PythonFile((open if is_here else self.system.open)(self.path, "rb"), "r")
        codec = _codec(self.path)
        if codec is None or self.form in PACKED_WITHIN:
            return file
        return pa.CompressedInputStream(file, codec)


@dataclass(frozen=True)
class Rows:
    """Where the values of a column are, for messages.

    Attributes:
        source: their file.
        word: what holds one: "row", or "line".
        start: how many came before the first.
    """

    source: str
    word: str = "row"
    start: int = 0

    def at(self, position: int | None) -> str:
        """The place of a value by its position, from 0."""
        return f"{self.word} {self.start + int(position or 0) + 1} of {self.source}"


def form_of(name: str) -> str | None:
    """The form of a file by its name, in any case, packed or not; None for no known one."""
    name = name.lower()
    return FORMS.get(_suffix(name.removesuffix(_suffix(name)) if _codec(name) else name))


def local_path(address: str | Path) -> Path | None:
    """The path of what is on this machine; None for another address."""
    system, path = _locate(address)
    return Path(path) if isinstance(system, LocalFileSystem) else None


def exists(address: str | Path) -> bool:
    """Whether there is a file, a folder, or a file of a pattern."""
    system, path = _locate(address)
    with reading(address):
        return bool(system.exists(path) or (WILDCARDS & {*path} and system.glob(path)))


def holds(address: str | Path, path: Path) -> bool:
    """Whether a file on this machine is one of an address, or would be if it were written."""
    local = local_path(address)
    if local is not None and local.is_dir() and path.resolve().is_relative_to(local.resolve()):
        folders = path.resolve().relative_to(local.resolve()).parts[:-1]
        return all("=" in one for one in folders)
    parts = find_parts(address) if path.exists() else []
    return any(isinstance(one.system, LocalFileSystem) and path.samefile(one.path) for one in parts)


def name_of(address: str | Path) -> str:
    """The name of a data set: that of its file or folder, without what follows a dot."""
    segments = PurePosixPath(_locate(address)[1]).parts
    plain = [segment for segment in segments if not WILDCARDS & {*segment}]
    return (plain or ["data"])[-1].split(".")[0] or "data"


def find_parts(address: str | Path) -> list[Part]:
    """The files of a table: one; those of a folder, in order of name; or those of a pattern.

    Files that are empty or begin with `_` or `.` do not count; of a folder, nor do those in no
    known form, nor folders in it other than partitions, as `day=1`.

    Raises:
        InputError: there is none, or the folder holds rows that were deleted.
    """
    system, path = _locate(address)
    with reading(address):
        if system.isdir(path):
            paths = [one for one in _in_folder(system, path) if form_of(one)]
            depth = len(PurePosixPath(path).parts)
        elif system.exists(path):
            return [Part(system, path)]
        elif WILDCARDS & {*path}:
            found = system.glob(path, detail=True)
            paths = sorted(one for one, entry in found.items() if _counts(one, entry))
            segments = PurePosixPath(path).parts
            depth = next(at for at, one in enumerate(segments) if WILDCARDS & {*one})
        else:
            paths = []
    if not paths and not exists(address):
        raise InputError(
            f"{address} does not exist: pass the path of a file or folder, a pattern such as "
            "'parts/*.parquet', or an address such as s3://bucket/file.parquet"
        )
    _refuse_twice(address, paths)
    return [Part(system, one, _partition(one, depth)) for one in paths]


@contextmanager
def reading(source: object) -> Iterator[None]:
    """The boundary to the libraries that read: whatever they raise is an InputError of one line."""
    try:
        yield
    except TablefreeError:
        raise
    except (Exception, pl.exceptions.PanicException) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        remedy = "is it whole and in its form?"
        if isinstance(error, NotImplementedError):
            remedy = "save it in types that Arrow has, such as integers of 64 bits or strings"
        raise InputError(f"{source} cannot be read ({reason}): {remedy}") from error


def _locate(address: str | Path) -> tuple[Any, str]:
    """The file system of an address, and the path there."""
    text = str(address)
    if "://" not in text:
        return LocalFileSystem(), os.path.abspath(text)  # noqa: PTH100  # links stay as they are
    with reading(text):
        system, path = url_to_fs(text)
        return system, str(path)


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix


def _codec(name: str) -> str | None:
    return CODECS.get(_suffix(name.lower()))


def _in_folder(system: Any, folder: str) -> Iterator[str]:
    for entry in sorted(system.ls(folder, detail=True), key=lambda entry: str(entry["name"])):
        path = str(entry["name"]).rstrip("/")
        name = PurePosixPath(path).name
        if name in DELETED_ROWS:
            raise InputError(
                f"{folder} is a {DELETED_ROWS[name]} table, whose files hold rows that were "
                "deleted too: read it with its own library, and save it as Parquet"
            )
        if entry["type"] == "directory" and "=" in name:
            yield from _in_folder(system, path)
        elif _counts(path, entry):
            yield path


def _counts(path: str, entry: Mapping[str, Any]) -> bool:
    """Whether a file may hold rows: it has a plain name, and is not empty."""
    is_plain = not PurePosixPath(path).name.startswith(("_", "."))
    return is_plain and entry["type"] != "directory" and entry["size"] != 0


def _partition(path: str, depth: int) -> dict[str, str | None]:
    pairs = [one.partition("=") for one in PurePosixPath(path).parts[depth:-1] if "=" in one]
    return {unquote(key): None if it == NO_VALUE else unquote(it) for key, _, it in pairs}


def _refuse_twice(address: object, paths: list[str]) -> None:
    plain = [path.removesuffix(_suffix(path)) if _codec(path) else path for path in paths]
    if len(set(plain)) < len(plain):
        raise InputError(
            f"{address} holds the same file packed and unpacked: remove one of the two"
        )
