"""Ids that repeat, as those of real traffic do: in a batch, and from one batch to the next.

Zipf's law: the n-th most frequent id occurs in proportion to n ** -1.1.
"""

import time
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor, nn

from tablefree.bench.case import EMBEDDING_DIM, Case, Measurement, Shape, dtype_text
from tablefree.bench.networks import every_row, inference, training_step
from tablefree.bench.timing import alternate
from tablefree.embeddings import CachedEmbedding, DeepHashEmbedding

EXPONENT = 1.1
UNIVERSE_OF_A_BATCH = 0.366  # ids to draw from, an id of the batch: 65,536 then hold about 9,000
NUM_IDS, NUM_CACHED = 10_000_000, 500_000
NUM_TABLE_ROWS = 1_000_000  # a row for each of the ids would take 1.3 GB
WARM_UP_BATCH, WARM_UP_IDS, WARM_UP_SECONDS = 65_536, 8_000_000, 20


def repeated_case(shape: Shape, *, training: bool) -> Case:
    """A batch of ids that repeat / a batch of just its distinct ids."""

    def measure(seconds: float) -> Measurement:
        universe = max(1, round(UNIVERSE_OF_A_BATCH * shape.batch))
        ids = zipf_ids(universe, shape.batch, np.random.default_rng(0)).to(shape.device)
        distinct = torch.unique(ids)
        embedding = shape.embedding()
        call: Callable[[Tensor], object] = (
            training_step(embedding, shape, torch.float32)
            if training
            else inference(embedding.freeze())
        )
        times = alternate(
            call, lambda _: call(distinct), repeat(ids), seconds=seconds, device=shape.device
        )
        return Measurement(*times, note=f"{len(distinct)} of {len(ids)} Zipf ids are distinct")

    what = "training" if training else "frozen"
    name = f"{shape.batch} Zipf ids / distinct ones, {what}, float32"
    return Case(name, "repeated ids", shape, torch.float32, measure)


def traffic_cases(shape: Shape) -> list[Case]:
    """The frozen bfloat16 embedding, with and without a cache of 5 % of the ids, and a table.

    Each batch is a new one, so that the cache meets ids that it has not seen.
    """
    traffic, dtype = _Traffic(shape), torch.bfloat16

    def case(
        name: str,
        measure: Callable[[_Traffic, float], Measurement],
        *,
        faster: bool = False,
    ) -> Case:
        return Case(
            f"{name} ids, {dtype_text(dtype)}",
            "traffic",
            shape,
            dtype,
            lambda seconds: measure(traffic, seconds),
            better="higher" if faster else "lower",
        )

    return [
        case(
            "frozen / nn.Embedding, uniform",
            lambda t, seconds: t.measure(t.frozen, t.table, seconds, exponent=0.0),
        ),
        case(
            "frozen / nn.Embedding, Zipf",
            lambda t, seconds: t.measure(t.frozen, t.table, seconds),
        ),
        case(
            "cached / nn.Embedding, Zipf",
            lambda t, seconds: t.measure(t.cached, t.table, seconds),
        ),
        case(
            "without cache / cached, Zipf",
            lambda t, seconds: t.measure(t.cached, t.frozen, seconds),
            faster=True,
        ),
        case(
            "every row / cached, Zipf",
            lambda t, seconds: t.measure(t.cached, t.every_row, seconds),
            faster=True,
        ),
        # The last, as it fills the cache with ids that do not come again.
        case(
            "cached / nn.Embedding, uniform",
            lambda t, seconds: t.measure(t.cached, t.table, seconds, exponent=0.0),
        ),
    ]


def zipf_ids(
    num_ids: int, size: int, generator: np.random.Generator, exponent: float = EXPONENT
) -> Int[Tensor, " size"]:
    """Ids 1..num_ids, each drawn in proportion to id ** -exponent."""
    return torch.from_numpy(
        _cumulative(num_ids, exponent).searchsorted(generator.random(size), side="right") + 1
    )


@lru_cache(maxsize=2)
def _cumulative(num_ids: int, exponent: float) -> NDArray[np.float64]:
    """The share of the ids up to each; all but the last, whose share is what remains."""
    sums = np.cumsum(np.arange(1, num_ids + 1, dtype=np.float64) ** -exponent)
    return np.asarray(sums[:-1] / sums[-1])


class _Batch(NamedTuple):
    ids: Tensor
    rows: Tensor  # of the table


Call = Callable[[_Batch], object]


class _Traffic:
    """What embeds the traffic: each made when it is first asked for, and the cache warmed up."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._generator = np.random.default_rng(1)

    def measure(
        self, ours: Call, against: Call, seconds: float, *, exponent: float = EXPONENT
    ) -> Measurement:
        times = alternate(
            ours,
            against,
            self._batches(self._shape.batch, exponent),
            seconds=seconds,
            device=self._shape.device,
        )
        return Measurement(*times, note=self._warmed_up if ours is self.cached else "")

    @cached_property
    def frozen(self) -> Call:
        return _on_ids(self._embedding)

    @cached_property
    def every_row(self) -> Call:
        call = every_row(self._embedding)
        return lambda batch: call(batch.ids)

    @cached_property
    def table(self) -> Call:
        table = inference(nn.Embedding(NUM_TABLE_ROWS, EMBEDDING_DIM, device=self._shape.device))
        return lambda batch: table(batch.rows)

    @cached_property
    def cached(self) -> Call:
        call = _on_ids(CachedEmbedding(self._embedding, NUM_CACHED))
        num_ids, start = 0, time.perf_counter()
        batches = self._batches(WARM_UP_BATCH)
        while num_ids < WARM_UP_IDS and time.perf_counter() - start < WARM_UP_SECONDS:
            call(next(batches))
            num_ids += WARM_UP_BATCH
        self._warmed_up = (
            f"traffic: {NUM_IDS} ids, Zipf exponent {EXPONENT}; cache: {NUM_CACHED} rows, "
            f"warmed up by {num_ids / 1e6:.1f} million ids"
        )
        return call

    @cached_property
    def _embedding(self) -> DeepHashEmbedding:
        return self._shape.embedding().freeze(torch.bfloat16)

    def _batches(self, size: int, exponent: float = EXPONENT) -> Iterator[_Batch]:
        while True:
            ids = zipf_ids(NUM_IDS, size, self._generator, exponent).to(self._shape.device)
            yield _Batch(ids, ids % NUM_TABLE_ROWS)


def _on_ids(embedding: nn.Module) -> Call:
    call = inference(embedding)
    return lambda batch: call(batch.ids)
