"""The files of a saved module: `model.safetensors` and `config.json`, nothing that can run code.

The configuration of each embedding is written out, so that a checkpoint does not depend on how
sizes are chosen; the hash contract lies with the weights and is compared when they are loaded.

Two files cannot be replaced at once. So the weights have a copy of their configuration, and a
digest tells whether the two files belong together: whatever stops a save, what is found is the old
checkpoint or the new one.
"""

import contextlib
import hashlib
import json
import operator
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from tablefree.errors import CheckpointError, InputError
from tablefree.files import replacing
from tablefree.version import __version__

FORMAT_VERSION = 1
MAPPED_BYTES = 2**16  # smaller tensors are read, mapped or not
LINE = 64  # bytes of a line of a processor's cache
WEIGHTS, CONFIG = "model.safetensors", "config.json"
_PICKLES = (b"\x80", b"PK")  # what files of pickle and of torch.save start with
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# What a configuration describes is built part by part, and a part has a tensor, but for a few.
_DEEPEST, _PARTS, _PARTS_A_TENSOR = 64, 1024, 16


class Saved(NamedTuple):
    """A checkpoint of which no weight was read yet.

    Attributes:
        folder: where it lies.
        config: what `config.json` says.
        outlines: the tensors of the file, in shape and dtype, without memory.
        digest: what `digest_of` the tensors must be; None where the file does not tell.
    """

    folder: Path
    config: dict[str, Any]
    outlines: dict[str, Tensor]
    digest: str | None


def write(folder: Path, config: Mapping[str, object], tensors: Mapping[str, Tensor]) -> None:
    """Write a configuration and weights; they are there whole, or what was there before is.

    It takes no memory but for tensors that are not contiguous on the CPU.

    Raises:
        InputError: the folder cannot be written to, or its disk is full; two tensors share memory,
            which a file of tensors cannot tell.
    """
    contents = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    of_files = {
        "format_version": FORMAT_VERSION,
        "tablefree_version": __version__,
        "dtypes": _float_dtypes(contents),
        "sha256": digest_of(contents),
    }
    # Sizes may be integers of NumPy.
    text = json.dumps({**of_files, **config}, indent=2, allow_nan=False, default=operator.index)
    # Within the braces, so that a file that ends early is no JSON.
    text = f"{text[:-1]}{' ' * _padding(text, contents)}}}"
    # The weights take their place first, and have the new configuration with them.
    with replacing(folder / CONFIG) as config_file, replacing(folder / WEIGHTS) as weights_file:
        with config_file.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # nothing is replaced until all is on the disk
        try:
            save_file(contents, weights_file, {"config": text})
        except RuntimeError as error:
            raise InputError(
                f"weights that are used twice cannot be saved ({one_line(error)}): give each "
                "module its own, by copy.deepcopy"
            ) from error
        except SafetensorError as error:
            raise OSError(one_line(error)) from error


def read(folder: Path) -> Saved:
    """Read all but the weights.

    Raises:
        CheckpointError: a file is missing, damaged, a pickle or of another format version; or the
            configuration has more parts than the weights could be of.
    """
    path = folder / CONFIG
    try:
        text = path.read_bytes()
    except OSError as error:
        remedy = "pass the folder that `save_pretrained` or `tablefree train` wrote"
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}): {_about_pickles(folder) or remedy}"
        ) from error
    config = _parsed(text, path)
    with _opened(folder) as file:
        outlines = {name: _outline(name, file, folder) for name in file.keys()}  # noqa: SIM118
        copy = (file.metadata() or {}).get("config")
    digest = None
    if copy is not None:
        of_weights = _parsed(copy, folder / WEIGHTS)
        digest = of_weights.get("sha256")
        if config.get("sha256", digest) != digest:  # a save was stopped between its two files
            config = of_weights
    _check_parts(config, len(outlines), path)
    found, wanted = _float_dtypes(outlines), config.get("dtypes")
    if wanted is not None and wanted != found:
        raise CheckpointError(
            f"the weights in {folder / WEIGHTS} do not fit its {CONFIG}: they are {found}, not "
            f"{wanted!r:.200}; load what was saved, and cast that"
        )
    return Saved(folder, config, outlines, digest)


def _padding(text: str, tensors: Mapping[str, Tensor]) -> int:
    """Spaces in a configuration with which the largest tensor begins a line of the cache.

    So a bucket of packed rows that is as long as a line is one. The file has the length of its
    header, the header, and the tensors, wider numbers first, and else by name.
    """
    if not tensors:
        return 0
    start = first = 0
    header: dict[str, object] = {}
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    largest = max(order, key=lambda name: tensors[name].nbytes)
    for name in order:
        tensor = tensors[name]
        end = start + tensor.nbytes
        first = start if name == largest else first
        code = next(code for code, dtype in _DTYPES.items() if dtype == tensor.dtype)
        header[name] = {"dtype": code, "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    whole = json.dumps({"__metadata__": {"config": text}, **header}, separators=(",", ":"))
    length = -(-len(whole.encode()) // 8) * 8
    return -(8 + length + first) % LINE


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
        with torch.device("meta"), _Undrawn():
            yield
    except CheckpointError:
        raise
    except Exception as error:  # a stranger's file can make a constructor raise anything
        raise CheckpointError(
            f"{folder / CONFIG} does not describe a {kind} ({one_line(error)}): it is that of "
            "something else, or damaged; restore or train the checkpoint again"
        ) from error


class _Undrawn(TorchFunctionMode):
    """Draws nothing: for tensors without memory torch would import its compiler, for seconds."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        tensor = kwargs.get("tensor", args[0] if args else None)
        if function.__name__ in ("normal_", "uniform_") and tensor.is_meta:
            return tensor
        return function(*args, **kwargs)


def read_weights(
    saved: Saved, expected: Mapping[str, Tensor], *, mapped: bool = False
) -> dict[str, Tensor]:
    """Read tensors, floats in the dtype they were saved in, into memory of their own.

    Args:
        saved: the checkpoint.
        expected: all tensors that it should have, without memory; their shapes count, and the
            dtypes of those that are no floats.
        mapped: whether large tensors stay in the file, of which nothing is read then: neither
            numbers nor digest are checked, and whoever writes over the file changes them.

    Raises:
        CheckpointError: it has others; they are damaged or not finite.
    """
    path = saved.folder / WEIGHTS
    _check_fit(saved.outlines, expected, path)
    with _opened(saved.folder) as file:
        # The file may change, and its tensors are not aligned as torch's are, which changes bits.
        tensors = {
            name: file.get_tensor(name)
            if mapped and outline.nbytes >= MAPPED_BYTES
            else file.get_tensor(name).clone()
            for name, outline in saved.outlines.items()
        }
    if mapped:
        return tensors
    check_finite(tensors, f"in {path}")
    if saved.digest is not None and saved.digest != digest_of(tensors):
        raise CheckpointError(
            f"{path} is damaged, its numbers are not those that were saved: restore or train the "
            "checkpoint again"
        )
    return tensors


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Make the tensors those of the module.

    Raises:
        CheckpointError: they do not fit the module, or come with other hash functions.
    """
    path = folder / WEIGHTS
    _check_fit(tensors, module.state_dict(), path)
    try:
        module.load_state_dict(tensors, assign=True)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except RuntimeError as error:
        raise CheckpointError(_misfit(path, one_line(error))) from error


def check_finite(tensors: Mapping[str, Tensor], where: str) -> None:
    """A CheckpointError when a number of the tensors is NaN or infinite."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        # The ends of the range are NaN where any number is, and no copy is made to find them.
        if not all(end.isfinite() for end in torch.aminmax(tensor.detach())):
            raise CheckpointError(
                f"{name} {where} has NaN or infinity: its training diverged, or it is damaged; "
                "restore or train the checkpoint again"
            )


def digest_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, in hexadecimal digits, of the names and bytes of contiguous tensors on the CPU."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def one_line(error: Exception) -> str:
    """The message of an error of another library, short."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


def _parsed(text: str | bytes, path: Path) -> dict[str, Any]:
    """A configuration from its text, in the file of this path."""
    try:
        config = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        remedy = "restore or train the checkpoint again"
        raise CheckpointError(
            f"{path} cannot be read (it is not JSON): {_about_pickles(path.parent) or remedy}"
        ) from error
    found = config.get("format_version") if isinstance(config, dict) else None
    if found != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {found!r:.50}, and this tablefree reads version "
            f"{FORMAT_VERSION}: use the tablefree that wrote it, or train again"
        )
    return dict(config)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _check_parts(config: Mapping[str, Any], num_tensors: int, path: Path) -> None:
    """Refuse what would take long to build: lists and nesting that no weights could go with.

    Nothing is built of fractions, such as the quantiles of numbers.
    """
    most = _PARTS + _PARTS_A_TENSOR * num_tensors
    num_parts = 0
    waiting: list[tuple[Any, int]] = [(config, 1)]
    while waiting:
        value, depth = waiting.pop()
        children = list(value.values()) if isinstance(value, Mapping) else list(value)
        parts = [child for child in children if not isinstance(child, float)]
        num_parts += len(parts) if isinstance(value, list) else 1
        if num_parts > most or depth > _DEEPEST:
            raise CheckpointError(
                f"{path} describes more than the {num_tensors} tensors of its weights could be of: "
                "it is damaged; restore or train the checkpoint again"
            )
        waiting += [(child, depth + 1) for child in children if isinstance(child, dict | list)]


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    path = folder / WEIGHTS
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        remedy = (
            "it is missing, damaged or in another format; restore or train the checkpoint again"
        )
        raise CheckpointError(
            f"{path} cannot be read as safetensors ({one_line(error)}): "
            f"{_about_pickles(folder) or remedy}"
        ) from error


def _outline(name: str, file: Any, folder: Path) -> Tensor:
    part = file.get_slice(name)
    dtype = part.get_dtype()
    if dtype not in _DTYPES:
        raise CheckpointError(
            f"{name} in {folder / WEIGHTS} is {dtype}, which no module here has: cast it, or "
            "restore the checkpoint"
        )
    return torch.empty(part.get_shape(), dtype=_DTYPES[dtype], device="meta")


def _float_dtypes(tensors: Mapping[str, Tensor]) -> list[str]:
    """The dtypes of floats, by name and in order."""
    return sorted({str(one.dtype) for one in tensors.values() if one.is_floating_point()})


def _check_fit(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    # Of an extra state its owner says whether it may be missing, and how long its text is.
    shaped = {name for name in expected if not name.endswith("_extra_state")}
    wrong = [f"{name} is missing" for name in expected if name in shaped - found.keys()]
    for name, tensor in found.items():
        if name not in expected:
            wrong.append(f"{name} is not asked for")
        elif not _fits(tensor.dtype, expected[name].dtype):
            wrong.append(f"{name} is {tensor.dtype}, not {expected[name].dtype}")
        elif name in shaped and tensor.shape != expected[name].shape:
            shapes = f"{list(tensor.shape)}, not {list(expected[name].shape)}"
            wrong.append(f"{name} has shape {shapes}")
    if wrong:
        raise CheckpointError(_misfit(path, "; ".join(wrong)[:300]))


def _misfit(path: Path, reason: str) -> str:
    return f"the weights in {path} do not fit its {CONFIG}: {reason}"


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
