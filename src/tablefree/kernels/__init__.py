"""The hash functions as kernels: one reference that is the law, and faster ones that equal it."""
