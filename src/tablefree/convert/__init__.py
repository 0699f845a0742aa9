"""From a trained table to an embedding without one."""

from tablefree.convert.distill import Distillation, distill
from tablefree.convert.least_squares import solve_sketch

__all__ = ["Distillation", "distill", "solve_sketch"]
