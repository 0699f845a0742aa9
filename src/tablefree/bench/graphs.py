"""The latency of a small batch on a GPU, under CUDA graphs, which leave no time to Python."""

from collections.abc import Callable
from itertools import repeat

import torch
from torch import Tensor, nn

from tablefree.bench.case import EMBEDDING_DIM, Case, Measurement, Shape
from tablefree.bench.networks import every_row
from tablefree.bench.timing import alternate
from tablefree.bench.traffic import NUM_TABLE_ROWS

LATENCY_BATCH = 256


def latency_case(shape: Shape) -> Case:
    """Frozen bfloat16 / `nn.Embedding`, both as CUDA graphs.

    Each row is computed: to find the distinct ids first makes a tensor of unknown size, which a
    graph cannot have.
    """

    def measure(seconds: float) -> Measurement:  # pragma: no cover - needs a GPU
        frozen = shape.embedding().freeze(torch.bfloat16)
        table = nn.Embedding(NUM_TABLE_ROWS, EMBEDDING_DIM, device=shape.device)
        ids = shape.distinct_ids()
        ours = _graph(every_row(frozen), ids)
        against = _graph(table, ids % NUM_TABLE_ROWS)
        times = alternate(
            lambda _: ours.replay(),
            lambda _: against.replay(),
            repeat(None),
            seconds=seconds,
            device=shape.device,
        )
        return Measurement(*times, note="CUDA graphs, every row computed")

    name = f"frozen / nn.Embedding, {shape.batch} ids, CUDA graphs, {shape.network}, bfloat16"
    return Case(name, "latency", shape, torch.bfloat16, measure)


@torch.inference_mode()
def _graph(
    call: Callable[[Tensor], Tensor], ids: Tensor
) -> torch.cuda.CUDAGraph:  # pragma: no cover - needs a GPU
    call(ids)  # the first call compiles
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call(ids)
    return graph
