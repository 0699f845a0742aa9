"""Values of any kind to 64-bit ids.

Integers keep their bits; strings and bytes become ids by XXH64 (Collet, 2012), so that a value is
the same id in a list, an array or a column of any library. See `docs/hash-contract.md`.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from tablefree.errors import InputError

_INTEGERS = (
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
)
_REMEDY = "ids are integers, strings or bytes"

# Strings and bytes are hashed to 64-bit ids, integers are ids as they are: "12" and 12 differ.
IdType = Literal["integer", "string"]
ID_TYPES = get_args(IdType)


def to_ids(values: Any) -> Int[Tensor, "*batch"]:
    """Turn values into 64-bit ids, held as int64 by their bit pattern.

    Args:
        values: a torch or NumPy integer array of any width and shape; an int, str or bytes; a list
            or tuple of one of these; a NumPy array of strings, or of bytes that fill its width (it
            forgets zero bytes at their end); an Arrow array or chunked array; a pandas or Polars
            series. Signed integers are reinterpreted as 64 bits, unsigned ones
            extended by zeros, strings and bytes hashed as by `hash_strings`. Categories and
            dictionaries count by their values, not their codes.

    Returns:
        int64 ids of the values' shape. An int64 array may share its memory with the result.

    Raises:
        InputError: a bool, float, null, NaN, an integer beyond 64 bits, or values of mixed type;
            the message names what was found and its first position.

    Example:
        >>> to_ids([1, 2**64 - 1])
        tensor([ 1, -1])
    """
    return ids_and_type(values)[0]


def ids_and_type(values: Any) -> tuple[Int[Tensor, "*batch"], IdType | None]:
    """What `to_ids` gives, and of which type the values were.

    The type of a tensor's is not known, as it may hold hashed strings; nor is that of no values.
    """
    if isinstance(values, Tensor):
        return tensor_ids(values), None
    ids, are_strings = _convert(values)
    return _tensor(ids), ("string" if are_strings else "integer") if ids.size else None


def hash_strings(values: Any) -> Int[Tensor, " n"]:
    """Hash strings or bytes to 64-bit ids: XXH64, seed 0, of the UTF-8 bytes.

    Args:
        values: a str or bytes, a list of either, a NumPy array, an Arrow array or chunked array
            (string, binary, dictionary and their variants), a pandas or Polars series.

    Returns:
        int64 ids, one for each value (a single value gives one id).

    Raises:
        InputError: a value is null, not a string, or not valid Unicode (with its position).

    Example:
        >>> hash_strings(["a", "b"]).shape
        torch.Size([2])
    """
    ids, are_strings = _convert([values] if isinstance(values, (str, bytes)) else values)
    if not are_strings and ids.size:
        raise InputError(
            "hash_strings takes strings or bytes, got integers: integers are ids as they are, "
            "pass them to to_ids"
        )
    return _tensor(ids)


def tensor_ids(ids: Tensor) -> Tensor:
    """An integer tensor of any width as int64 ids; refuses everything else with an InputError."""
    if not isinstance(ids, Tensor):
        raise InputError(
            f"ids must be an integer tensor, got {type(ids).__name__}: convert them with to_ids"
        )
    if ids.layout != torch.strided or ids.is_nested or hasattr(ids, "get_mask"):
        kind = "masked" if hasattr(ids, "get_mask") else str(ids.layout)
        raise InputError(f"ids must be a dense tensor, each an id; got a {kind} one: convert it")
    if ids.dtype not in _INTEGERS:
        raise InputError(
            f"ids must be an integer tensor, got {ids.dtype}: floats and bools are not exact ids"
        )
    return ids.view(torch.int64) if ids.dtype == torch.uint64 else ids.to(torch.int64)


def _convert(values: Any) -> tuple[NDArray[np.int64], bool]:
    """The ids of a value that is not a tensor, and whether they come from strings."""
    library = type(values).__module__.partition(".")[0]
    if library == "pandas" and isinstance(getattr(values, "dtype", None), np.dtype):
        values = values.to_numpy()
    elif library in ("pandas", "polars"):
        values = as_arrow(values)
    if type(values).__module__.partition(".")[0] == "pyarrow":
        return _from_arrow(values)
    if isinstance(values, (np.ndarray, np.generic)) and not isinstance(values, (str, bytes)):
        return _from_numpy(np.asanyarray(values))
    if isinstance(values, (list, tuple)):
        return _from_sequence(values)
    ids, are_strings = _from_sequence([values])
    return ids.reshape(()), are_strings


def as_arrow(column: Any) -> Any:
    """A column of pandas, Polars or Arrow as Arrow's.

    Raises:
        InputError: it is no column, or one of what Arrow does not have.
    """
    library = type(column).__module__.partition(".")[0]
    if library == "pyarrow":
        return column
    if not hasattr(column, "dtype") or not hasattr(column, "to_numpy"):
        remedy = "pass one column, a Series"
        raise InputError(f"got a {library} {type(column).__name__}: {remedy}")
    if str(column.dtype) == "Object":  # of Polars, whose memory holds addresses
        raise InputError(
            f"{_REMEDY}, got a column of Python objects: pass them as strings or bytes"
        )
    import pyarrow

    try:
        return column.to_arrow() if library == "polars" else pyarrow.array(column, from_pandas=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{_REMEDY}, got a column of {column.dtype}: {reason}") from error


def _from_numpy(values: NDArray[Any]) -> tuple[NDArray[np.int64], bool]:
    if isinstance(values, np.ma.MaskedArray):
        masked = np.flatnonzero(np.ma.getmaskarray(values))
        if len(masked):
            raise InputError(
                f"{_REMEDY}, got a masked value at position {masked[0]}: drop or fill it"
            )
        values = values.data
    if not values.size:  # as an array of floats has none where nobody told its type
        return np.zeros(values.shape, np.int64), False
    if values.dtype.kind == "i":
        return values.astype(np.int64, copy=False), False
    if values.dtype.kind == "u":
        return values.astype(np.uint64, copy=False).view(np.int64), False
    if values.dtype.kind == "S":
        _check_full(values)
    if values.dtype.kind in "OUST":
        ids, are_strings = _from_sequence(values.ravel().tolist())
        return ids.reshape(values.shape), are_strings
    raise InputError(f"{_REMEDY}, got an array of {values.dtype}: convert the column first")


def _check_full(values: NDArray[Any]) -> None:
    """Refuse bytes of which NumPy may have forgotten the end: it takes zeros for padding."""
    is_short = np.char.str_len(values.ravel()) < values.dtype.itemsize
    if is_short.any():
        raise InputError(
            f"NumPy does not tell bytes from bytes with zeros at their end, as at position "
            f"{int(is_short.argmax())} of this array of {values.dtype}: pass a list of bytes, an "
            "Arrow array or an array of objects"
        )


def _from_sequence(values: Sequence[Any]) -> tuple[NDArray[np.int64], bool]:
    """Python values of one kind: int, str or bytes."""
    kinds = {kind: _kind(kind) for kind in set(map(type, values))}
    names = set(kinds.values())
    if len(names) > 1 or not names <= {"int", "str", "bytes"}:
        raise _wrong_value(values, kinds)
    if names == {"int"}:
        return _from_integers(values), False
    if names == {"str"}:
        values = _encode(values)
    offsets = np.zeros(len(values) + 1, np.int64)
    np.cumsum(np.fromiter(map(len, values), np.int64, len(values)), out=offsets[1:])
    return _hash(np.frombuffer(b"".join(values), np.uint8), offsets), True


def _kind(kind: type) -> str:
    if issubclass(kind, (int, np.integer)) and not issubclass(kind, bool):
        return "int"
    return next((base.__name__ for base in (str, bytes) if issubclass(kind, base)), "other")


def _wrong_value(values: Sequence[Any], kinds: dict[type, str]) -> InputError:
    first = kinds[type(values[0])]
    for position, value in enumerate(values):
        if kinds[type(value)] == "other":
            shown = " ".join(repr(value).split())[:50]
            found = "null (None)" if value is None else f"{type(value).__name__} {shown}"
            return InputError(f"{_REMEDY}, got {found} at position {position}: drop or convert it")
        if kinds[type(value)] != first:
            break
    return InputError(
        f"ids must be of one kind, got {first} at first and {kinds[type(value)]} at position "
        f"{position}: convert all to one kind"
    )


def _from_integers(values: Sequence[int]) -> NDArray[np.int64]:
    try:
        return np.array(values, np.int64)
    except OverflowError:
        for position, value in enumerate(values):
            if not -(2**63) <= value < 2**64:
                raise InputError(
                    f"an id has 64 bits, got {value} at position {position}: pass ids from -2^63 "
                    "to 2^64 - 1, or strings"
                ) from None
        return np.array([int(value) % 2**64 for value in values], np.uint64).view(np.int64)


def _encode(values: Sequence[str]) -> list[bytes]:
    try:
        return [value.encode() for value in values]
    except UnicodeEncodeError as error:
        position = next(i for i, value in enumerate(values) if value == error.object)
        raise InputError(
            f"the string at position {position} is not valid Unicode (a lone surrogate at "
            f"character {error.start}): repair it or pass bytes"
        ) from None


def _from_arrow(column: Any) -> tuple[NDArray[np.int64], bool]:
    """An Arrow array or chunked array, without a Python loop over its values."""
    import pyarrow
    from pyarrow import compute

    if not isinstance(column, (pyarrow.Array, pyarrow.ChunkedArray)):
        raise InputError(f"got a pyarrow {type(column).__name__}: pass one column, an array")
    kind = column.type
    if isinstance(column, pyarrow.ChunkedArray):
        column = column.combine_chunks()
    if column.null_count:
        position = compute.index(compute.is_null(column), True).as_py()
        raise InputError(f"{_REMEDY}, got null at position {position}: drop or fill the nulls")
    if pyarrow.types.is_dictionary(kind):
        if column.dictionary.null_count:
            return _from_arrow(column.dictionary_decode())
        ids, are_strings = _from_arrow(column.dictionary)
        return ids[column.indices.to_numpy(zero_copy_only=False)], are_strings
    if not len(column):  # of no values, Arrow may know no type
        return np.zeros(0, np.int64), False
    if pyarrow.types.is_integer(kind):
        return _from_numpy(column.to_numpy(zero_copy_only=False))
    if not _is_text(kind):
        raise InputError(f"{_REMEDY}, got a column of {kind}: convert the column first")
    column = column.cast(pyarrow.large_binary())
    _, starts, data = column.buffers()
    offsets = np.frombuffer(starts, np.int64)[column.offset : column.offset + len(column) + 1]
    return _hash(np.frombuffer(data or b"", np.uint8), offsets), True


def _is_text(kind: Any) -> bool:
    from pyarrow import types

    return any(
        is_kind(kind)
        for is_kind in (
            types.is_string,
            types.is_large_string,
            types.is_string_view,
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
            types.is_fixed_size_binary,
        )
    )


def _hash(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    from tablefree.kernels import cpu  # Numba takes a second to import: only when it is needed

    return cpu.xxh64(data, offsets, torch.get_num_threads())


def _tensor(ids: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(np.require(ids, requirements=["C", "W"]))
