"""Rows in a few bytes, for real: what is learned is coded once, and read as it lies."""

from tablefree.packing.forms import Form
from tablefree.packing.packer import pack, packed_bytes, unpack

__all__ = ["Form", "pack", "packed_bytes", "unpack"]
