"""From what a user names to interactions: a path, a data set of a known owner, or synthetic."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tablefree.data.download import DATASETS, download
from tablefree.data.interactions import Interactions
from tablefree.data.parts import exists
from tablefree.data.read import read_interactions
from tablefree.data.synthetic import synthetic_interactions
from tablefree.errors import InputError

# Name → numbers of users and items of 200,000 events: some forty an id, or hundreds, or a few.
SYNTHETIC = {
    "synthetic": (5_000, 3_000),
    "synthetic-dense": (1_000, 800),
    "synthetic-sparse": (30_000, 20_000),
}
DOWNLOAD_FOLDER = Path("data")


def load_interactions(data: str, **options: Any) -> Interactions:
    """Load interactions.

    Args:
        data: what `read_interactions` takes; a key of `SYNTHETIC` for generated data; or the
            name of a data set (a key of `tablefree.data.download.DATASETS`), which is downloaded
            from its owner into `data/`, once.
        **options: those of `read_interactions`; for files only.

    Raises:
        InputError: neither a path nor a known name, or whatever is wrong with the data.
    """
    if exists(data):
        return read_interactions(data, **options)
    if data in SYNTHETIC:
        given = [name for name, value in options.items() if value not in (None, (), [])]
        if given:
            raise InputError(f"synthetic data has no columns to choose: leave {given[0]} out")
        num_users, num_items = SYNTHETIC[data]
        generated = synthetic_interactions(num_users=num_users, num_items=num_items)
        return replace(generated, name=data)
    if data in DATASETS:
        return read_interactions(download(data, DOWNLOAD_FOLDER), **options)
    raise InputError(
        f"{data} does not exist, and is no known data set: pass the path of a file or folder, "
        f"one of {', '.join(SYNTHETIC)} for generated data, or one of {', '.join(DATASETS)}"
    )
