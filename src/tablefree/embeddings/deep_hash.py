"""No table at all: a network decodes a dense hash code of the id.

Kang et al., "Learning to Embed Categorical Features without Embedding Tables for Recommendation",
2021. Its size does not depend on the number of ids.
"""

from collections.abc import Sequence

from tablefree.embeddings.decoded import DecodedEmbedding
from tablefree.encodings import DenseHashEncoding
from tablefree.registry import registered


@registered(method="deep_hash")
class DeepHashEmbedding(DecodedEmbedding):
    """The network's output for the dense hash code of an id.

    The defaults are those of the paper but for the widths, which grow with the budget: a code that
    is unique and fixed, hidden layers with batch norm and Mish, no skip.

    Args:
        embedding_dim: width of an embedding.
        num_hashes: width of the code; even for the Gaussian transform.
        hidden: widths of the network's hidden layers.
        activation: "mish", "relu" or "gelu".
        norm: "batch", "layer", "rms" or "none".
        dropout: share of hidden units dropped in training.
        skip: whether a linear map goes from the code straight to the embedding.
        transform: "uniform" codes in [-1, 1] or "gaussian" codes.
        num_buckets: number of levels of each number of a code.
        seed: picks the hash functions; the name of the feature is a good seed.
        recompute: whether a training step keeps only the output of each hidden layer, and computes
            the code and all else again when it needs them: a third of the memory for one more
            forward pass.

    Raises:
        InputError: an option out of its range.

    Example:
        >>> embedding = DeepHashEmbedding(32, num_hashes=64, hidden=(64, 64), seed="item_id")
        >>> embedding(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        embedding_dim: int,
        *,
        num_hashes: int = 1024,
        hidden: Sequence[int] = (512, 512),
        activation: str = "mish",
        norm: str = "batch",
        dropout: float = 0.0,
        skip: bool = False,
        transform: str = "uniform",
        num_buckets: int = 2**20,
        seed: int | str,
        recompute: bool = False,
    ) -> None:
        encoding = DenseHashEncoding(
            num_hashes, seed=seed, num_buckets=num_buckets, transform=transform
        )
        super().__init__(
            embedding_dim,
            [encoding],
            hidden=hidden,
            activation=activation,
            norm=norm,
            dropout=dropout,
            skip=skip,
            recompute=recompute,
        )

    @property
    def encoding(self) -> DenseHashEncoding:
        """The dense hash code."""
        encoding = self.encodings[0]
        assert isinstance(encoding, DenseHashEncoding)
        return encoding

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "deep_hash",
            "embedding_dim": self.embedding_dim,
            "num_hashes": self.encoding.num_hashes,
            "transform": self.encoding.transform,
            "num_buckets": self.encoding.num_buckets,
            "seed": self.encoding.seed,
            **self.options,
            "recompute": self.recompute,
        }
