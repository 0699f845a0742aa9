"""A trained model in a folder, with what it needs to be used, evaluated or trained again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from torch import Tensor

from tablefree import saved
from tablefree.data import Vocabulary
from tablefree.embeddings import Embedding, FullTable, NarrowTable
from tablefree.errors import InputError
from tablefree.files import TEMPORARY, check_writable
from tablefree.ids import ID_TYPES, IdType
from tablefree.models import Recommender
from tablefree.rows.table import read_as_the_rest

LOGS = "logs"


@dataclass(frozen=True)
class Keys:
    """How the ids of a feature become what its embedding takes.

    Attributes:
        id_type: "integer", or "string" for ids that are hashed.
        vocabulary: the rows of the ids seen in training; None for an embedding that takes any id.
    """

    id_type: IdType
    vocabulary: Vocabulary | None = None

    def __call__(self, ids: npt.NDArray[np.int64]) -> Int[Tensor, " n"]:
        """The row of each 64-bit id, that of unknown ids included; or the id itself."""
        return torch.from_numpy(ids if self.vocabulary is None else self.vocabulary.lookup(ids))

    def num_unknown(self, keys: Int[Tensor, " n"]) -> int:
        """How many keys stand for an id that is not in the vocabulary."""
        return 0 if self.vocabulary is None else int((keys == len(self.vocabulary)).sum())


@dataclass(frozen=True)
class Checkpoint:
    """A trained model and what it needs to be used, or trained again.

    Attributes:
        model: the recommender, in evaluation mode when it was loaded.
        users: how the ids of users become keys.
        items: likewise for items.
        data: name of the data set.
        split: name of the split.
        run: method, model, size, seed, embedding_dim and recipe, in types that JSON has.
        measures: what it came to; None for what could not be measured.
    """

    model: Recommender
    users: Keys
    items: Keys
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

    Raises:
        InputError: the folder is not empty or cannot be written to, or its disk is full.
    """
    check_folder(folder)
    config, tensors = checkpoint.model.saved_config(), checkpoint.model.state_dict()
    for feature, keys, embedding in _features(checkpoint):
        config[feature] = {"id_type": keys.id_type, "embedding": embedding.config()}
        if keys.vocabulary is not None:
            tensors[_vocabulary(feature)] = torch.from_numpy(keys.vocabulary.ids)
    config |= {
        "data": checkpoint.data,
        "split": checkpoint.split,
        "run": dict(checkpoint.run),
        "measures": dict(checkpoint.measures),
    }
    saved.write(folder, config, tensors)


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; the model is in evaluation mode, on the CPU.

    Raises:
        CheckpointError: a file is missing, damaged or of another format version; weights or a
            vocabulary that do not fit the configuration; other hash functions.
    """
    found = saved.read(folder)
    config = found.config
    with saved.outlining(folder, "model"):
        model = Recommender.from_saved_config(config)
        expected = model.state_dict()
        for feature, embedding in (("users", model.users), ("items", model.items)):
            if _tables(embedding):
                num_ids = _tables(embedding)[0].num_embeddings
                expected[_vocabulary(feature)] = torch.empty(num_ids, dtype=torch.int64)
    tensors = saved.read_weights(found, expected)
    with saved.outlining(folder, "model"):
        users, items = (
            _keys(feature, config[feature]["id_type"], tensors) for feature in ("users", "items")
        )
        told = config["data"], config["split"], config["run"], config["measures"]
    saved.load_weights(model, tensors, folder)
    read_as_the_rest(model)
    return Checkpoint(model.eval(), users, items, *told)


def _is_left_over(path: Path) -> bool:
    """Whether a training that was stopped may have left it."""
    return path.name == LOGS or (path.name.startswith(".") and path.suffix == TEMPORARY)


def _features(checkpoint: Checkpoint) -> list[tuple[str, Keys, Embedding]]:
    model = checkpoint.model
    return [("users", checkpoint.users, model.users), ("items", checkpoint.items, model.items)]


def _vocabulary(feature: str) -> str:
    return f"vocabulary.{feature}"


def _tables(embedding: Embedding) -> list[FullTable | NarrowTable]:
    return [part for part in embedding.modules() if isinstance(part, FullTable | NarrowTable)]


def _keys(feature: str, id_type: Any, tensors: dict[str, Tensor]) -> Keys:
    """The keys of a feature; its vocabulary is taken out of the tensors, if it has one."""
    if id_type not in ID_TYPES:
        raise InputError(f"the id_type of {feature} is {id_type!r:.50}")
    ids = tensors.pop(_vocabulary(feature), None)
    return Keys(id_type, None if ids is None else Vocabulary(ids.numpy()))
