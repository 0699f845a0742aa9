"""The quotient and the remainder of a hashed id pick a row each, combined into one.

Shi et al., "Compositional Embeddings Using Complementary Partitions", 2020. They divide an id's
number in a vocabulary, so that no two ids have the same pair of rows. Here the hash of the id is
divided, which needs no vocabulary: two ids share a pair only when their hashes agree.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.checks import check_choice, check_positive
from tablefree.embeddings.base import FACTOR_STD, Embedding, table
from tablefree.encodings import HashBuckets
from tablefree.errors import InputError
from tablefree.registry import registered
from tablefree.scales import INITIAL_STD


@registered(method="quotient_remainder")
class QuotientRemainder(Embedding):
    """A row for the remainder and a row for the quotient of an id's hash.

    The hash takes `num_rows * num_quotients` values; each is one pair of rows. Of n ids, a share of
    about 1 - exp(-n / (num_rows * num_quotients)) shares its pair with another: 63 % when there are
    as many pairs as ids, 6 % with 16 pairs an id. (With a vocabulary it would be none.)

    Args:
        num_rows: rows of the table of remainders.
        embedding_dim: width of an embedding.
        num_quotients: rows of the table of quotients.
        combine: "add", "multiply" or "concat" (halves of `embedding_dim` numbers).
        seed: picks the hash function; the name of the feature is a good seed.

    Example:
        >>> composed = QuotientRemainder(1000, 32, num_quotients=50, seed="item_id")
        >>> composed(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        num_rows: int,
        embedding_dim: int,
        *,
        num_quotients: int,
        combine: str = "multiply",
        seed: int | str,
    ) -> None:
        super().__init__(embedding_dim)
        check_positive(num_rows=num_rows, num_quotients=num_quotients)
        check_choice("combine", combine, ("add", "multiply", "concat"))
        if combine == "concat" and embedding_dim % 2:
            raise InputError(f"embedding_dim must be even to concatenate rows, got {embedding_dim}")
        if num_rows * num_quotients > 2**32:
            raise InputError(
                f"num_rows * num_quotients must be at most 2**32, got {num_rows} * {num_quotients}"
            )
        self.num_rows, self.combine = num_rows, combine
        self.pairs = HashBuckets(1, num_rows * num_quotients, seed=seed)
        width = embedding_dim // 2 if combine == "concat" else embedding_dim
        std = INITIAL_STD / 2**0.5 if combine == "add" else INITIAL_STD
        self.remainders = table(num_rows, width, std=std)
        self.quotients = (
            table(num_quotients, width, mean=1.0, std=FACTOR_STD)
            if combine == "multiply"
            else table(num_quotients, width, std=std)
        )

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look up each id's two rows and combine them."""
        pair = self.pairs(ids).squeeze(-1)
        remainder: Tensor = self.remainders(pair % self.num_rows)
        quotient: Tensor = self.quotients(pair // self.num_rows)
        if self.combine == "add":
            return remainder + quotient
        if self.combine == "multiply":
            return remainder * quotient
        return torch.cat([remainder, quotient], dim=-1)

    def output_weights(self) -> list[Tensor]:
        """The remainders' rows, and the quotients' where they are not their factors."""
        tables = [self.remainders, self.quotients]
        return [one.weight for one in tables[: 1 if self.combine == "multiply" else 2]]

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "quotient_remainder",
            "num_rows": self.num_rows,
            "num_quotients": self.quotients.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "combine": self.combine,
            "seed": self.pairs.seed,
        }

    @property
    def multiply_adds(self) -> int:
        """Those of adding or multiplying the two rows."""
        return 0 if self.combine == "concat" else self.embedding_dim
