"""Weights that this machine cannot hold are refused before any memory is taken for them."""

import os
from math import prod

import torch

from tablefree.errors import InputError

BYTES = 4  # of a number in float32


def check_memory(*sizes: int) -> None:
    """An InputError when a tensor of these sizes takes more memory than this machine has.

    On the meta device nothing takes any, and a GPU says itself what it lacks.
    """
    if torch.get_default_device().type != "cpu" or not hasattr(os, "sysconf"):
        return
    num_numbers = prod(map(int, sizes))  # for NumPy's integers overflow
    has = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if num_numbers * BYTES > has:
        raise InputError(
            f"{num_numbers:,} numbers take {num_numbers * BYTES >> 30:,} GiB, and this machine has "
            f"{has >> 30}: choose a smaller size"
        )
