"""Tables of results as Parquet files in which a damaged byte is found.

Each page has a checksum, which Polars neither writes nor verifies: it ends some damaged files in a
panic, and reads other values out of others. So these files are written and read by Arrow.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tablefree.data.parts import form_of
from tablefree.errors import InputError
from tablefree.files import replace_file, replacing

FILE_NAME = "results.parquet"


def read_table(folder: Path, name: str = FILE_NAME) -> pl.DataFrame:
    """Read a table of a folder, whichever command wrote it; `results.parquet` by default.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    path = folder / name
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: run `tablefree compare`, `ablate` or `cold-start` with this "
            "output folder"
        )
    try:
        # In one thread: Arrow's own can end the process when one of them meets damage. And from no
        # object of Python's: a thread that lets go of one while Python ends aborts the process.
        options = {"use_threads": False, "pre_buffer": False}
        with pa.OSFile(str(path)) as file:
            read = pq.read_table(file, page_checksum_verification=True, **options)
        read.validate(full=True)
        # The footer has no checksum, and Polars panics where a name in it is no UTF-8.
        if "\ufffd" in read.schema.to_string(truncate_metadata=False):
            raise pa.ArrowInvalid("a name is no UTF-8")
        table = pl.from_arrow(read)
    # Text that is no UTF-8 is a ValueError, as much of Arrow's is.
    except (pa.ArrowException, pl.exceptions.PolarsError, ValueError, OSError) as error:
        raise InputError(
            f"{path} cannot be read as Parquet ({first_line(error)}): "
            "it is damaged; restore it, or move it away to start anew"
        ) from error
    assert isinstance(table, pl.DataFrame)
    return table


def write_table(folder: Path, table: pl.DataFrame, name: str = FILE_NAME) -> None:
    """Write a table of a folder, found whole or not at all.

    Raises:
        InputError: the folder cannot be written to, or its disk is full.
    """
    buffer = io.BytesIO()
    pq.write_table(table.to_arrow(), buffer, write_page_checksum=True)
    replace_file(folder / name, buffer.getvalue())


@contextlib.contextmanager
def writing(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet file batch by batch; it is found whole or not at all.

    Raises:
        InputError: the file cannot be written, is a pipe, or is named as another kind of file.
    """
    if path.is_fifo():
        raise InputError(
            f"{path} is a pipe, in which Parquet cannot go back: pass the name of a file"
        )
    if form_of(path.name) != "parquet" and (path.is_file() or not path.exists()):
        raise InputError(f"{path} is no name of a Parquet file: end it with .parquet")
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        yield writer


def first_line(error: Exception) -> str:
    """What went wrong, without what other libraries add to it."""
    return str(error).partition("\n")[0]
