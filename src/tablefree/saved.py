"""The files of a saved module: `model.safetensors` and `config.json`, nothing that can run code.

The configuration of each embedding is written out, so that a checkpoint does not depend on how
sizes are chosen; the hash contract lies with the weights and is compared when they are loaded.
"""

import contextlib
import json
import operator
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from tablefree.errors import CheckpointError, InputError
from tablefree.files import replace_file

FORMAT_VERSION = 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"
_PICKLES = (b"\x80", b"PK")  # what files of pickle and of torch.save start with


def write(folder: Path, config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> None:
    """Write a configuration and weights; they are there whole or not at all.

    Raises:
        InputError: the folder cannot be written to, or its disk is full; two tensors share memory,
            which a file of tensors cannot tell.
    """
    import tablefree

    versions = {"format_version": FORMAT_VERSION, "tablefree_version": tablefree.__version__}
    # Sizes may be integers of NumPy.
    text = json.dumps({**versions, **config}, indent=2, allow_nan=False, default=operator.index)
    try:
        content = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise InputError(
            f"weights that are used twice cannot be saved ({one_line(error)}): give each module "
            "its own, by copy.deepcopy"
        ) from error
    try:
        # A folder without it is no checkpoint, at no time one of old and new files.
        (folder / CONFIG).unlink(missing_ok=True)
        replace_file(folder / WEIGHTS, content)
        replace_file(folder / CONFIG, text.encode())
    except BaseException:
        (folder / WEIGHTS).unlink(missing_ok=True)
        raise


def read_config(folder: Path) -> dict[str, Any]:
    """The configuration in a folder.

    Raises:
        CheckpointError: it is missing, damaged or of another format version.
    """
    path = folder / CONFIG
    try:
        config = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        remedy = "pass the folder that `save_pretrained` or `tablefree train` wrote"
        raise CheckpointError(
            f"{path} cannot be read ({reason}): {_about_pickles(folder) or remedy}"
        ) from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version!r}, and this tablefree reads version "
            f"{FORMAT_VERSION}: use the tablefree that wrote it, or train again"
        )
    return dict(config)


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """The weights in a folder.

    Raises:
        CheckpointError: they are missing, damaged or no safetensors; pickles are never loaded.
    """
    path = folder / WEIGHTS
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        remedy = (
            "it is missing, damaged or in another format; restore or train the checkpoint again"
        )
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({one_line(error)}): "
            f"{_about_pickles(folder) or remedy}"
        ) from error


@contextlib.contextmanager
def outlining(folder: Path, kind: str) -> Iterator[None]:
    """Build modules without memory, as the file's tensors are to take the place of theirs.

    Args:
        folder: where the configuration is from.
        kind: what it is to describe.

    Raises:
        CheckpointError: it does not.
    """
    try:
        with torch.device("meta"):
            yield
    except (KeyError, TypeError, AttributeError, InputError) as error:
        raise CheckpointError(
            f"{folder / CONFIG} does not describe a {kind} ({one_line(error)}): it is that of "
            "something else, or damaged; restore or train the checkpoint again"
        ) from error


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Make the tensors those of the module; floats stay in the dtype they were saved in.

    Raises:
        CheckpointError: they do not fit the module, or come with other hash functions.
    """
    path = folder / WEIGHTS
    wrong = [
        f"{name} is {tensors[name].dtype}, not {expected.dtype}"
        for name, expected in module.state_dict().items()
        if name in tensors and not _fits(tensors[name].dtype, expected.dtype)
    ]
    try:
        if wrong:
            raise RuntimeError("; ".join(wrong))
        module.load_state_dict(tensors, assign=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights in {path} do not fit its {CONFIG}: {one_line(error)}"
        ) from error


def one_line(error: Exception) -> str:
    """The message of an error of another library, short."""
    return " ".join(str(error).split())[:300]


def _fits(dtype: torch.dtype, expected: torch.dtype) -> bool:
    return dtype == expected or (dtype.is_floating_point and expected.is_floating_point)


def _about_pickles(folder: Path) -> str:
    """What to do about pickles in the place of a checkpoint; nothing if there are none."""
    pickles = [path.name for path in sorted(folder.glob("*")) if _is_pickle(path)]
    if not pickles:
        return ""
    return (
        f"{', '.join(pickles)} is a pickle, which can run code and is not loaded; load it where "
        "you trust it, and call `save_pretrained`"
    )


def _is_pickle(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(2).startswith(_PICKLES)
