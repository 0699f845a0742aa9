"""Download data sets from their owners, who do not allow that others pass them on.

MovieLens (Harper and Konstan 2015) with the owner's MD5 sums; Amazon reviews (McAuley et al. 2014,
Ni et al. 2019, Hou et al. 2024), whose owner publishes no sums. The terms of use are the owners'.
"""

import hashlib
import http.client
import tempfile
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tablefree.errors import InputError

CHUNK_BYTES = 2**20
TIMEOUT_SECONDS = 60

_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"
_AMAZON_2014 = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
_AMAZON = "https://mcauleylab.ucsd.edu/public_datasets/data/"


@dataclass(frozen=True)
class Source:
    """Where a data set is had from.

    Attributes:
        address: The owner's address of the one file.
        md5: The MD5 sum published by the owner, or None.
    """

    address: str
    md5: str | None = None

    @property
    def file_name(self) -> str:
        """Name of the file, as the owner calls it."""
        return self.address.rsplit("/", 1)[-1]


DATASETS = {
    "ml-100k": Source(_GROUPLENS + "ml-100k.zip", "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": Source(_GROUPLENS + "ml-1m.zip", "c4d9eecfca2ab87c1945afe126590906"),
    "ml-20m": Source(_GROUPLENS + "ml-20m.zip", "cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": Source(_GROUPLENS + "ml-25m.zip", "6b51fb2759a8657d3bfcbfc42b592ada"),
    "ml-32m": Source(_GROUPLENS + "ml-32m.zip", "d472be332d4daa821edc399621853b57"),
    "amazon-2014-books": Source(_AMAZON_2014 + "reviews_Books_5.json.gz"),
    "amazon-2014-musical-instruments": Source(
        _AMAZON_2014 + "reviews_Musical_Instruments_5.json.gz"
    ),
    "amazon-2018-books": Source(_AMAZON + "amazon_v2/categoryFilesSmall/Books.csv"),
    "amazon-2018-musical-instruments": Source(
        _AMAZON + "amazon_v2/categoryFilesSmall/Musical_Instruments.csv"
    ),
    "amazon-2023-books": Source(_AMAZON + "amazon_2023/benchmark/5core/rating_only/Books.csv.gz"),
    "amazon-2023-musical-instruments": Source(
        _AMAZON + "amazon_2023/benchmark/5core/rating_only/Musical_Instruments.csv.gz"
    ),
}


def download(name: str, folder: str | Path) -> Path:
    """Download a data set into a folder, unless its file is there, and return the file's path.

    The file appears under its name only when it is whole and its checksum is right.

    Args:
        name: A key of `DATASETS`.
        folder: Where to put the file; created if need be.

    Raises:
        InputError: Unknown name; the folder cannot be written; the owner cannot be reached; the
            file does not have the owner's checksum.

    Example:
        >>> path = download("ml-1m", "data")
        >>> interactions = read_interactions(path, positive_rating=4)
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: choose one of {', '.join(DATASETS)}")
    source, folder = DATASETS[name], Path(folder)
    path = folder / source.file_name
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A folder of its own, on the same disk, goes away whatever happens.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
            part = Path(temporary) / source.file_name
            md5 = _fetch(source, part, folder)
            if source.md5 is not None and md5 != source.md5:
                raise InputError(
                    f"the file from {source.address} has the MD5 sum {md5}, and its owner "
                    f"publishes {source.md5}: try again, the download may be damaged"
                )
            part.rename(path)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written ({error.strerror or error}): choose another folder or "
            "make room"
        ) from error
    return path


def _fetch(source: Source, part: Path, folder: Path) -> str:
    """Write the file and return its MD5 sum."""
    digest = hashlib.md5(usedforsecurity=False)
    with part.open("wb") as file:
        for chunk in _chunks(source, folder):
            file.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()


def _chunks(source: Source, folder: Path) -> Iterable[bytes]:
    """Yield the file as it comes, with a progress bar."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    try:
        with (
            urllib.request.urlopen(source.address, timeout=TIMEOUT_SECONDS) as response,
            Progress(*columns, console=Console(stderr=True)) as progress,
        ):
            length = response.headers["Content-Length"]
            total = int(length) if length else None
            task = progress.add_task(source.file_name, total=total)
            received = 0
            while chunk := response.read(CHUNK_BYTES):
                received += len(chunk)
                progress.advance(task, len(chunk))
                yield chunk
    except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
        reason = getattr(error, "reason", None) or error
        raise InputError(
            f"{source.address} cannot be reached ({reason}): download it elsewhere and put the "
            f"file {source.file_name} into {folder.resolve()}"
        ) from error
    if total is not None and received != total:
        raise InputError(f"{source.address} ended after {received} of {total} bytes: try again")
