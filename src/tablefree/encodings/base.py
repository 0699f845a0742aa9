"""What every encoding is: a module that turns ids of any shape into codes of one width."""

from typing import Protocol

from torch import Tensor


class Encoding(Protocol):
    """A module with these members; every `Embedding` is one."""

    @property
    def width(self) -> int:
        """Numbers of a code."""
        ...

    @property
    def std(self) -> float:
        """Standard deviation of a code's components at the start."""
        ...

    def config(self) -> dict[str, object]:
        """What `embeddings.from_config` builds an encoding of the same function from."""
        ...

    def __call__(self, ids: Tensor, /) -> Tensor:
        """The code [*batch, width] of ids [*batch]."""
        ...
