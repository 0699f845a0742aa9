"""The hash functions as kernels: one reference that is the law, and faster ones that equal it."""

from importlib.util import find_spec

from tablefree.kernels import threads as threads  # it must know which process was the first


def devices_with_kernels() -> tuple[str, ...]:
    """The types of devices on which kernels look rows up; on others torch's operators do."""
    return ("cpu",) if find_spec("triton") is None else ("cpu", "cuda")


HAVE_KERNELS = devices_with_kernels()
