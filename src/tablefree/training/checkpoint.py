"""A trained model in a folder, with what it needs to be used, evaluated or trained again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablefree import saved
from tablefree.errors import CheckpointError, InputError
from tablefree.fields.model import Predictor, load
from tablefree.files import TEMPORARY, check_writable

LOGS = "logs"
TRAINING = "training"  # of `config.json`, which the model does not need


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, and how it was trained.

    Attributes:
        predictor: the model with its columns, in evaluation mode when it was loaded.
        data: name of the data set.
        split: name of the split.
        run: what was trained, such as the method, the recipe and the seed, in types that JSON has.
        measures: what it came to; None for what could not be measured.
    """

    predictor: Predictor
    data: str
    split: str
    run: Mapping[str, object]
    measures: Mapping[str, float | None]


def check_folder(folder: Path) -> None:
    """Refuse, before any training, a folder that a checkpoint cannot be written to.

    It is created if need be; the logs of a training that was stopped may be in it.

    Raises:
        InputError: it holds a checkpoint or anything else, or cannot be written to.
    """
    if folder.is_dir():
        found = sorted(path.name for path in folder.iterdir() if not _is_left_over(path))
        if saved.CONFIG in found:
            raise InputError(
                f"{folder} holds a checkpoint: remove the folder first, or choose another output"
            )
        if found:
            raise InputError(
                f"{folder} holds other things ({', '.join(found[:5])}): choose another output"
            )
    check_writable(folder)


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint into a folder that has none; it is there whole or not at all.

    `tablefree.load` opens it as well.

    Raises:
        InputError: the folder is not empty or cannot be written to, or its disk is full.
    """
    check_folder(folder)
    predictor = checkpoint.predictor
    training = {
        "data": checkpoint.data,
        "split": checkpoint.split,
        "run": dict(checkpoint.run),
        "measures": dict(checkpoint.measures),
    }
    config = predictor.whole_config() | {TRAINING: training}
    saved.write(folder, config, predictor.state_dict())


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; the model is in evaluation mode, on the CPU.

    Raises:
        CheckpointError: a file is missing, damaged or of another format version; weights or a
            vocabulary that do not fit the configuration; other hash functions; a model that no
            `tablefree train` of this version wrote.
    """
    training: Any = saved.read(folder).config.get(TRAINING)
    try:
        told = training["data"], training["split"], training["run"], training["measures"]
    except (TypeError, KeyError) as error:
        raise CheckpointError(
            f"{folder} does not say how its model was trained: pass a folder that `tablefree "
            "train` of this version wrote"
        ) from error
    return Checkpoint(load(folder), *told)


def _is_left_over(path: Path) -> bool:
    """Whether a training that was stopped may have left it."""
    return path.name == LOGS or (path.name.startswith(".") and path.suffix == TEMPORARY)
