"""A row of full width for each id that training meets, without a vocabulary.

What a full table learns, found by hashes: an id claims a row when it first learns, and owns it from
then on. Fingerprints of 16 bits take the place of the vocabulary, 2 bytes an id: an id that
training never met is taken for an owner once in 2,000 times at most (see `RowClaims`).
"""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from tablefree.embeddings.base import Embedding
from tablefree.embeddings.claiming import Claiming
from tablefree.encodings import SketchEncoding
from tablefree.registry import registered
from tablefree.rows import Rows
from tablefree.scales import INITIAL_STD


@registered(method="claimed_rows")
class ClaimedRows(Claiming, Embedding):
    """The row that an id owns; the sum of shared rows for ids that come when all have owners.

    An id that training never met is neutral, until all rows have owners: then nobody can tell it
    from those that came too late. There is no decoder: under rows of full width it costs accuracy,
    and `SketchEmbedding`, whose rows are narrow, has one.

    Args:
        capacity: rows for one id each, a multiple of 16 (see `SketchEncoding`). Few above .95 of
            them find an owner: a tenth more than there are ids is the size of a full table's
            accuracy.
        embedding_dim: width of an embedding.
        num_rows: rows of each of the `num_hashes` shared tables.
        num_hashes: shared rows an id has.
        seed: picks the hash functions; the name of the feature is a good seed, but where
            strangers choose ids: see `tablefree.Secret`.
        sparse: whether the gradient of the rows is sparse; by default where they are many.
        sightings: in how many batches an id must have been before it gets a row (see
            `SketchEncoding`).

    Raises:
        InputError: an option out of its range.

    Example:
        >>> embedding = ClaimedRows(1600, 32, num_rows=10, seed="item_id")
        >>> embedding(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        capacity: int | Sequence[int],
        embedding_dim: int,
        *,
        num_rows: int,
        num_hashes: int = 4,
        seed: int | str,
        sparse: bool | None = None,
        sightings: int = 1,
    ) -> None:
        super().__init__(embedding_dim)
        self.encoding = SketchEncoding(
            num_rows,
            embedding_dim,
            num_hashes=num_hashes,
            capacity=capacity,
            seed=seed,
            sparse=sparse,
            sightings=sightings,
        )
        self.std = self.encoding.std
        self.rescale(INITIAL_STD / self.std)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look the row of each id up.

        Raises:
            InputError: ids that are no integers.
        """
        embeddings: Tensor = self.encoding(ids)
        return embeddings

    @property
    def rows(self) -> Rows:  # type: ignore[override]
        """All rows, those that are shared first."""
        return self.encoding.rows

    @property
    def multiply_adds(self) -> int:
        """None: it is a lookup."""
        return 0

    def rescale(self, factor: float) -> None:
        """Multiply all embeddings by a factor."""
        super().rescale(factor)
        self.encoding.std *= factor

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        config = self.encoding.config()
        del config["encoding"], config["width"]
        return {"method": "claimed_rows", "embedding_dim": self.embedding_dim, **config}
