"""Packed rows of tensors: CPU ones go to Numba, CUDA ones to Triton, where there is one."""

import torch
from torch import Tensor

from tablefree.kernels.layout import Layout


def packed_rows(places: Tensor, data: Tensor, books: Tensor, layout: Layout, width: int) -> Tensor:
    """The rows at places [n] of tensors on one device: see `kernels.packed`."""
    if places.device.type == "cuda":
        from tablefree.kernels import cuda_packed

        return cuda_packed.packed_rows(places, data, books, layout, width)
    from tablefree.kernels import packed  # Numba takes a second to import: only when it is needed

    arrays = (places.numpy(), data.numpy(), books.numpy())
    return torch.from_numpy(packed.packed_rows(*arrays, layout, width, torch.get_num_threads()))


def packed_own_rows(
    ids: Tensor, data: Tensor, books: Tensor, seed: int, layout: Layout, width: int
) -> tuple[Tensor, Tensor]:
    """The row and the place of each id [n], or -1 or -2: see `kernels.packed`."""
    if ids.device.type == "cuda":
        from tablefree.kernels import cuda_packed

        return cuda_packed.packed_own_rows(ids, data, books, seed, layout, width)
    from tablefree.kernels import packed

    rows, places = packed.packed_own_rows(
        ids.numpy(), data.numpy(), books.numpy(), seed, layout, width, torch.get_num_threads()
    )
    return torch.from_numpy(rows), torch.from_numpy(places)


def packed_codes(
    ids: Tensor,
    data: Tensor,
    books: Tensor,
    seed: int,
    shared: Tensor,
    shared_seed: int,
    num_hashes: int,
    layout: Layout,
    width: int,
) -> Tensor:
    """The codes of ids [n], of own rows or of shared ones: see `kernels.packed`."""
    if ids.device.type == "cuda":
        from tablefree.kernels import cuda_packed

        tensors = (ids, data, books, seed, shared, shared_seed)
        return cuda_packed.packed_codes(*tensors, num_hashes, layout, width)
    from tablefree.kernels import packed

    arrays = (ids.numpy(), data.numpy(), books.numpy())
    of_shared = (shared.numpy(), shared_seed, num_hashes)
    num_threads = torch.get_num_threads()
    codes = packed.packed_codes(*arrays, seed, *of_shared, layout, width, num_threads)
    return torch.from_numpy(codes)
