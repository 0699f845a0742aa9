"""From what a user names to interactions: a path, a data set of a known owner, or synthetic."""

from pathlib import Path
from typing import Any

from tablefree.data.download import DATASETS, download
from tablefree.data.interactions import Interactions
from tablefree.data.read import read_interactions
from tablefree.data.synthetic import synthetic_interactions
from tablefree.errors import InputError

SYNTHETIC = "synthetic"
DOWNLOAD_FOLDER = Path("data")


def load_interactions(data: str, **options: Any) -> Interactions:
    """Load interactions.

    Args:
        data: the path of a file or folder; "synthetic" for generated data; or the name of a data
            set (a key of `tablefree.data.download.DATASETS`), which is downloaded from its owner
            into `data/`, once.
        **options: those of `read_interactions`; for files only.

    Raises:
        InputError: neither a path nor a known name, or whatever is wrong with the data.
    """
    if Path(data).exists():
        return read_interactions(data, **options)
    if data == SYNTHETIC:
        given = [name for name, value in options.items() if value not in (None, (), [])]
        if given:
            raise InputError(f"synthetic data has no columns to choose: leave {given[0]} out")
        return synthetic_interactions()
    if data in DATASETS:
        return read_interactions(download(data, DOWNLOAD_FOLDER), **options)
    raise InputError(
        f"{data} does not exist, and is no known data set: pass the path of a file or folder, "
        f"{SYNTHETIC!r}, or one of {', '.join(DATASETS)}"
    )
