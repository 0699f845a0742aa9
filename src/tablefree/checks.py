"""What arguments must be, for any module to ask."""

import os
from math import inf, prod
from numbers import Integral, Real

import numpy as np
import torch

from tablefree.errors import InputError

_BYTES = 4  # of a number in float32


def check_positive(**sizes: int) -> None:
    """An InputError when one of the named sizes is no integer of at least 1, and below 2^63."""
    for name, size in sizes.items():
        if not isinstance(size, Integral) or not 1 <= size < 2**63:
            limit = "at least 1" if not isinstance(size, Integral) or size < 1 else "less than 2^63"
            raise InputError(f"{name} must be an integer of {limit}, got {size!r:.50}")
        if isinstance(size, np.integer) and size.itemsize < 8:  # products of it would overflow
            raise InputError(f"{name} must be an int, or of 64 bits, got {size!r}")


def check_number(least: float, **values: object) -> None:
    """An InputError when one of the named values is no finite number above `least`."""
    for name, value in values.items():
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not least < float(value) < inf:  # type: ignore[arg-type]
            raise InputError(f"{name} must be a finite number above {least:g}, got {value!r:.50}")


def check_memory(*sizes: int) -> None:
    """An InputError when a tensor of these sizes takes more memory than this machine has.

    On the meta device nothing takes any, and a GPU says itself what it lacks.
    """
    if torch.get_default_device().type != "cpu" or not hasattr(os, "sysconf"):
        return
    num_numbers = prod(map(int, sizes))  # for NumPy's integers overflow
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if num_numbers * _BYTES > has:
        raise InputError(
            f"{num_numbers:,} numbers take {num_numbers * _BYTES >> 30:,} GiB, and this machine "
            f"has {has >> 30}: choose a smaller size"
        )


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """An InputError when the named option is none of the choices."""
    if value not in choices:
        raise InputError(f"{name} must be one of {', '.join(choices)}; got {value!r}")
