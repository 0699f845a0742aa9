"""Learned rows, and the optimizer whose step costs what the rows looked up cost."""

from tablefree.rows.adam import RowAdam
from tablefree.rows.table import Rows, hold_rows

__all__ = ["RowAdam", "Rows", "hold_rows"]
