"""What one comparison is: a name, the sizes it is made at, and how to measure it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from tablefree.checks import check_positive
from tablefree.embeddings import DeepHashEmbedding
from tablefree.errors import InputError

EMBEDDING_DIM = 32


class LeftOutError(Exception):
    """Raised by a measurement that cannot be made here, with the reason."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a case, and where it runs.

    Attributes:
        batch: number of ids.
        num_hashes: width of a code.
        hidden: widths of the hidden layers.
        device: CPU or CUDA.
    """

    batch: int
    num_hashes: int
    hidden: tuple[int, ...]
    device: torch.device

    def __post_init__(self) -> None:
        check_positive(batch=self.batch, num_hashes=self.num_hashes)

    @property
    def network(self) -> str:
        """The hidden layers as a reader wants them: 512-512, or 5x1800."""
        if len(self.hidden) > 2 and len(set(self.hidden)) == 1:
            return f"{len(self.hidden)}x{self.hidden[0]}"
        return "-".join(map(str, self.hidden))

    @property
    def widths(self) -> tuple[int, ...]:
        """Of every layer, from the code to the embedding."""
        return self.num_hashes, *self.hidden, EMBEDDING_DIM

    def distinct_ids(self) -> Int[Tensor, " batch"]:
        """Ids drawn from 63 bits: two that are equal would be a wonder."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(2**63 - 1, (self.batch,), generator=generator).to(self.device)

    def embedding(self, *, recompute: bool = False) -> DeepHashEmbedding:
        """A table-free embedding of these sizes, untrained."""
        return DeepHashEmbedding(
            EMBEDDING_DIM,
            num_hashes=self.num_hashes,
            hidden=self.hidden,
            seed="item_id",
            recompute=recompute,
        ).to(self.device)


@dataclass(frozen=True)
class Measurement:
    """What was measured, sample by sample; `note` says what a reader should know besides."""

    ours: list[float]
    against: list[float]
    note: str = ""


@dataclass(frozen=True)
class Case:
    """A named comparison.

    Attributes:
        name: "numerator / denominator, where": the ratio reads as the name does.
        group: of cases that belong together.
        shape: the sizes.
        dtype: of the arithmetic.
        measure: takes the seconds to spend; raises `LeftOutError` where it cannot be made.
        better: "lower" when ours is the numerator, "higher" when it is the denominator.
        unit: of the samples.
        multiply_adds: of an id, where a share of the machine's arithmetic is to be told.
    """

    name: str
    group: str
    shape: Shape
    dtype: torch.dtype
    measure: Callable[[float], Measurement]
    better: Literal["lower", "higher"] = "lower"
    unit: Literal["ms", "MB"] = "ms"
    multiply_adds: int | None = None


def measure(case: Case, seconds: float) -> Measurement:
    """Measure a case; the global random state is as it was, and nothing that is drawn varies.

    Raises:
        LeftOutError: it cannot be measured here.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return case.measure(seconds)


def parse_hidden(text: str) -> list[tuple[int, ...]]:
    """The networks in a text such as "512-512,1800-1800": widths by dashes, networks by commas.

    Raises:
        InputError: anything but whole numbers of at least 1 between the dashes.
    """
    networks = []
    for network in text.split(","):
        widths = [width.strip() for width in network.split("-")]
        if not all(width.isdecimal() and int(width) for width in widths):
            raise InputError(
                f"hidden must be widths of at least 1 such as 512-512, got {network.strip()!r}"
            )
        networks.append(tuple(map(int, widths)))
    return networks


def dtype_text(dtype: torch.dtype) -> str:
    """Its name, as bfloat16."""
    return str(dtype).removeprefix("torch.")
