"""From a trained table to an embedding without one."""

from tablefree.conversion.distill import Distillation, distill
from tablefree.conversion.least_squares import solve_sketch

__all__ = ["Distillation", "distill", "solve_sketch"]
