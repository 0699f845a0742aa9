"""The hash functions as kernels: one reference that is the law, and faster ones that equal it."""

from tablefree.kernels import threads as threads  # it must know which process was the first
