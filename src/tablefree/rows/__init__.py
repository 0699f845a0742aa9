"""Learned rows, and the optimizer whose step costs what the rows looked up cost."""

from tablefree.rows.adam import RowAdam
from tablefree.rows.table import Rows

__all__ = ["RowAdam", "Rows"]
