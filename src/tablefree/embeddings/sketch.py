"""The bounded default: a narrow learned code without a vocabulary, and a small decoder.

Learned like a table's rows, but bounded and without a vocabulary, like the dense hash. On sparse
data it beats a full table of four times its size, for each id has a few numbers of its own, and
the decoder shares the rest between all ids.
"""

from collections.abc import Sequence
from typing import cast

import torch

from tablefree.embeddings.claiming import Claiming
from tablefree.embeddings.decoded import DecodedEmbedding
from tablefree.encodings import SketchEncoding
from tablefree.errors import InputError
from tablefree.frozen_network import FrozenNetwork
from tablefree.network import RMS_EPS
from tablefree.registry import registered


@registered(method="sketch")
class SketchEmbedding(Claiming, DecodedEmbedding):
    """The decoder's output for the narrow row of an id, or for the sum of those it shares.

    The decoder has RMS norm, so that decay of the codes does not make it linear, and a linear skip,
    which lets it start as a projection.

    Args:
        embedding_dim: width of an embedding.
        num_rows: rows of each of the `num_hashes` shared tables.
        code_width: numbers of a row.
        num_hashes: shared rows an id has.
        capacity: rows for one id each, a multiple of 16 (see `SketchEncoding`); 0 for none.
        hidden: widths of the decoder's hidden layers.
        activation: "mish", "relu" or "gelu".
        norm: "batch", "layer", "rms" or "none".
        dropout: share of hidden units dropped in training.
        skip: whether a linear map goes from the code straight to the embedding.
        seed: picks the hash functions; the name of the feature is a good seed, but where
            strangers choose ids: see `tablefree.Secret`.
        sparse: whether the gradient of the rows is sparse; by default where they are many.
        sightings: in how many batches an id must have been before it gets a row (see
            `SketchEncoding`).
        own_rows: the former name of `capacity`.

    Raises:
        InputError: an option out of its range.

    Example:
        >>> embedding = SketchEmbedding(32, num_rows=1000, code_width=4, seed="item_id")
        >>> embedding(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        embedding_dim: int,
        *,
        num_rows: int,
        code_width: int,
        num_hashes: int = 4,
        capacity: int | Sequence[int] = 0,
        hidden: Sequence[int] = (64,),
        activation: str = "mish",
        norm: str = "rms",
        dropout: float = 0.0,
        skip: bool = True,
        seed: int | str,
        sparse: bool | None = None,
        sightings: int = 1,
        own_rows: int = 0,
    ) -> None:
        encoding = SketchEncoding(
            num_rows,
            code_width,
            num_hashes=num_hashes,
            capacity=capacity or own_rows,
            seed=seed,
            sparse=sparse,
            sightings=sightings,
        )
        super().__init__(
            embedding_dim,
            [encoding],
            hidden=hidden,
            activation=activation,
            norm=norm,
            dropout=dropout,
            skip=skip,
        )

    @property
    def encoding(self) -> SketchEncoding:  # type: ignore[override]
        """The sketch."""
        return cast(SketchEncoding, self.encodings[0])

    @torch.no_grad()
    def rescale_code(self, factor: float) -> None:
        """Multiply the rows by a factor, and by its inverse the weights that make up for it.

        For a fresh embedding, whose scale about stays: without a norm a decoder that starts without
        biases maps small codes nearly linearly, and layer and batch norm undo the factor in the
        hidden layers. RMS norm leaves small codes to the skip at first, if there is one, which is
        seven tenths of the scale. A step of Adam, as long for any weight, moves smaller rows
        further for their size.

        Args:
            factor: above 0.

        Raises:
            InputError: a frozen embedding.
        """
        network = self.network
        if isinstance(network, FrozenNetwork):
            raise InputError("a frozen embedding does not learn: rescale the code of the other")
        self.encoding.rows.weight.mul_(factor)
        self.encoding.std *= factor
        to_output = 1.0
        if not self.options["hidden"] or self.options["norm"] == "none":
            to_output = factor
        elif self.options["norm"] == "rms" and network.skip is None:
            to_output = factor * ((1 + RMS_EPS) / (factor**2 + RMS_EPS)) ** 0.5
        network.output.weight.mul_(1 / to_output)
        if network.skip is not None:
            network.skip.weight.mul_(1 / factor)

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        config = self.encoding.config()
        del config["encoding"]
        return {
            "method": "sketch",
            "embedding_dim": self.embedding_dim,
            "code_width": config.pop("width"),
            **config,
            **self.options,
        }
