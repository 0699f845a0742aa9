"""What data-parallel processes tell each other about ids, so that each gives them the same rows."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, distributed, nn

from tablefree.errors import InputError


def data_parallel_group(module: nn.Module) -> "distributed.ProcessGroup | None":
    """The processes of the `DistributedDataParallel` whose forward pass runs now; None elsewhere.

    From the first pass on, this one leaves the buffers of the module alone, which the processes
    keep equal themselves: it would send them at each step, whatever their size.

    Raises:
        InputError: within `join()`, where a process that is out of batches could not answer.
    """
    if not distributed.is_available():
        return None
    parallel: Any = nn.parallel.DistributedDataParallel._active_ddp_module
    if parallel is None:
        return None
    if parallel._join_config.enable:
        raise InputError(
            "ids claim rows in all processes at once, which one that is out of batches cannot do: "
            "leave join() and give all processes as many batches (drop_last, or a sampler that "
            "repeats), or use a sketch with capacity=0"
        )
    buffers = set(map(id, module.buffers()))
    names = {name for name, buffer in parallel.module.named_buffers() if id(buffer) in buffers}
    if not names <= parallel.parameters_to_ignore:
        parallel.parameters_to_ignore |= names
        parallel._assign_modules_buffers()
    group: distributed.ProcessGroup = parallel.process_group
    return group


def of_all(ids: Int[Tensor, " n"], group: "distributed.ProcessGroup") -> Int[Tensor, " m"]:
    """The ids of all processes of a group, each of which must call this as often.

    Raises:
        InputError: another process has left.
    """
    # Gloo knows the CPU alone.
    device = torch.device("cpu") if distributed.get_backend(group) == "gloo" else ids.device
    try:
        sizes = _gathered(torch.tensor([len(ids)], device=device), group)
        longest = int(sizes.max())
        if not longest:
            return ids
        padded = torch.zeros(longest, dtype=torch.int64, device=device)
        padded[: len(ids)] = ids
        parts = _gathered(padded, group).view(-1, longest)
    except RuntimeError as error:
        raise InputError(
            f"another process of the training did not answer ({str(error).splitlines()[0]}): give "
            "all processes as many batches, and see what ended the other one"
        ) from error
    wanted = torch.arange(longest, device=device) < sizes[:, None]
    return parts[wanted].to(ids.device)


def _gathered(tensor: Int[Tensor, " n"], group: "distributed.ProcessGroup") -> Tensor:
    parts = [torch.empty_like(tensor) for _ in range(distributed.get_world_size(group))]
    distributed.all_gather(parts, tensor, group=group)
    return torch.cat(parts)
