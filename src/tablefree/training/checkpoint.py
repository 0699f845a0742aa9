"""A trained model in a folder: `model.safetensors` and `config.json`, nothing that can run code.

The configuration of each embedding is written out, so that a checkpoint does not depend on how
sizes are chosen; the hash contract lies with the weights and is compared when they are loaded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

import tablefree
from tablefree.data import Vocabulary
from tablefree.data.interactions import IdType
from tablefree.embeddings import (
    DecodedEmbedding,
    Embedding,
    FullTable,
    NarrowTable,
    from_config,
)
from tablefree.embeddings.history import HistoryUsers
from tablefree.encodings import Encoding
from tablefree.errors import CheckpointError, InputError
from tablefree.files import check_writable, replace_file
from tablefree.models import MODELS, Recommender

FORMAT_VERSION = 1
WEIGHTS, CONFIG, LOGS = "model.safetensors", "config.json", "logs"
FEATURES = ("users", "items")
ID_TYPES = ("integer", "string")


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
        found = sorted(path.name for path in folder.iterdir() if path.name != LOGS)
        if CONFIG in found:
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
    model = checkpoint.model
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    features = {}
    for feature, keys, embedding in _features(checkpoint):
        features[feature] = {"id_type": keys.id_type, "embedding": embedding.config()}
        if keys.vocabulary is not None:
            tensors[_vocabulary(feature)] = torch.from_numpy(keys.vocabulary.ids)
    config = {
        "format_version": FORMAT_VERSION,
        "tablefree_version": tablefree.__version__,
        "model": next(name for name, kind in MODELS.items() if type(model) is kind),
        **features,
        "data": checkpoint.data,
        "split": checkpoint.split,
        "run": dict(checkpoint.run),
        "measures": dict(checkpoint.measures),
    }
    try:
        replace_file(folder / WEIGHTS, save(tensors))
        # Last: a folder without it is no checkpoint.
        replace_file(folder / CONFIG, json.dumps(config, indent=2, allow_nan=False).encode())
    except BaseException:
        (folder / WEIGHTS).unlink(missing_ok=True)
        raise


def load_checkpoint(folder: Path) -> Checkpoint:
    """Read a checkpoint; the model is in evaluation mode, on the CPU.

    Raises:
        CheckpointError: a file is missing, damaged or of another format version; weights or a
            vocabulary that do not fit the configuration; other hash functions.
    """
    config = _read_config(folder / CONFIG)
    tensors = _read_tensors(folder / WEIGHTS)
    try:
        with torch.device("meta"):  # shapes without memory: the file's tensors take their place
            items = from_config(config["items"]["embedding"])
            model = MODELS[config["model"]](_users(config["users"]["embedding"], items), items)
        checkpoint = Checkpoint(
            model,
            _keys("users", config["users"]["id_type"], model.users, tensors),
            _keys("items", config["items"]["id_type"], model.items, tensors),
            config["data"],
            config["split"],
            config["run"],
            config["measures"],
        )
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise CheckpointError(
            f"{folder / CONFIG} does not describe a model ({_one_line(error)}): it is damaged; "
            "restore or train the checkpoint again"
        ) from error
    _load_weights(model, tensors, folder / WEIGHTS)
    model.eval()
    return checkpoint


def _features(checkpoint: Checkpoint) -> list[tuple[str, Keys, Embedding]]:
    model = checkpoint.model
    return [("users", checkpoint.users, model.users), ("items", checkpoint.items, model.items)]


def _vocabulary(feature: str) -> str:
    return f"vocabulary.{feature}"


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise CheckpointError(
            f"{path} cannot be read ({reason}): pass the folder that `tablefree train` wrote"
        ) from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version!r}, and this tablefree reads version "
            f"{FORMAT_VERSION}: use the tablefree that wrote it, or train again"
        )
    return dict(config)


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({_one_line(error)}): it is missing, damaged "
            "or in another format; restore or train the checkpoint again"
        ) from error


def _users(config: dict[str, Any], items: Embedding) -> Embedding:
    """The embedding of users; one of histories is over the items, or over their code."""
    if config.get("method") != "history":
        return from_config(config)
    own, hidden = config["own"], config["hidden"]
    code = (
        items.encodings[0] if hidden is not None and isinstance(items, DecodedEmbedding) else items
    )
    return HistoryUsers(
        cast(Encoding, code),
        config["embedding_dim"],
        hidden=hidden,
        alpha=config["alpha"],
        own=None if own is None else from_config(own),
    )


def _keys(feature: str, id_type: Any, embedding: Embedding, tensors: dict[str, Tensor]) -> Keys:
    """The keys of a feature; its vocabulary is taken out of the tensors."""
    if id_type not in ID_TYPES:
        raise InputError(f"the id_type of {feature} is {id_type!r}")
    tables = [m for m in embedding.modules() if isinstance(m, FullTable | NarrowTable)]
    if not tables:
        return Keys(id_type)
    vocabulary = Vocabulary(tensors.pop(_vocabulary(feature)).numpy())
    if len(vocabulary) != tables[0].num_embeddings:
        raise InputError(f"the vocabulary of {feature} has {len(vocabulary)} ids")
    return Keys(id_type, vocabulary)


def _load_weights(model: Recommender, tensors: dict[str, Tensor], path: Path) -> None:
    wrong = [
        f"{name} is {tensors[name].dtype}, not {expected.dtype}"
        for name, expected in model.state_dict().items()
        if name in tensors and tensors[name].dtype != expected.dtype
    ]
    try:
        if wrong:
            raise RuntimeError("; ".join(wrong))
        model.load_state_dict(tensors, assign=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {path} do not fit its {CONFIG}: {_one_line(error)}"
        ) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
