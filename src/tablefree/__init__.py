"""Embeddings of categorical features without embedding tables, for PyTorch."""

from tablefree.errors import CheckpointError, InputError, TablefreeError

__version__ = "0.1.0"

__all__ = ["CheckpointError", "InputError", "TablefreeError", "__version__"]
