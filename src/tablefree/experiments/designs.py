"""An encoding and a network that together fit a number of parameters: a point of the ablations.

What varies is what `tablefree.embeddings.budget` decides for a method. The widths of the hidden
layers follow from the rest, or, under a learned code, its rows: closed forms, as there. Only where
rows an id are what varies, they are given, and the size follows from them.
"""

import json
from dataclasses import asdict, dataclass
from math import isqrt

import torch

from tablefree.checks import check_choice
from tablefree.embeddings import DecodedEmbedding, SketchEmbedding
from tablefree.embeddings.budget import build, decoder_size, deep_hash_shape, sketch_rows
from tablefree.encodings import DenseHashEncoding, Encoding, SketchEncoding
from tablefree.encodings.ablation import BinaryDigits, OneHotHash, ScaledId
from tablefree.errors import InputError
from tablefree.experiments.task import Side

CODES = ("uniform", "gaussian", "binary_digits", "scaled_id", "one_hot_hash", "sketch")
NORM_SIZES = {"batch": 2, "layer": 2, "rms": 1, "none": 0}  # parameters of an output


@dataclass(frozen=True)
class Design:
    """The code of an id and the network that decodes it.

    Attributes:
        code: one of `CODES`.
        num_hashes: hash functions of a dense code, or buckets of a one-hot hash; or hash functions
            of a sketch of which all rows are shared. By default the code is that of the method
            "deep_hash" or "sketch" at that size.
        num_buckets: number of levels of each number of a dense code.
        family: of the hash functions of a dense code.
        rows_per_id: rows of a sketch, of either kind, for each id of the data, whatever that makes
            of the size; the width of the code and the network are those of the size asked for. With
            it rows are owned at any load, where the method would share all of them. By default as
            many as the size leaves.
        dense: numbers of a dense code beside a sketch.
        depth: hidden layers, equally wide but for the last, which takes what rounding leaves.
        activation: as in `EmbeddingNetwork`, as all that follow.
        norm: the norm.
        skip: whether there is a linear skip.
        dropout: share of hidden units dropped.
    """

    code: str = "uniform"
    num_hashes: int | None = None
    num_buckets: int = 2**20
    family: str = "multiply_shift"
    rows_per_id: float | None = None
    dense: int = 0
    depth: int = 2
    activation: str = "mish"
    norm: str = "batch"
    skip: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_choice("code", self.code, CODES)

    def build(
        self, side: Side, num_parameters: int, embedding_dim: int, seed: int | str
    ) -> DecodedEmbedding:
        """The embedding of this design that fits a number of parameters.

        A network under a fixed code has all of them; one under a sketch as many as the decoder of
        the method "sketch", and the sketch's rows take the rest, unless they are given.

        Args:
            side: whose ids are embedded.
            num_parameters: learned numbers to spend.
            embedding_dim: width of an embedding.
            seed: picks the hash functions.

        Raises:
            InputError: a size too small for the design.
        """
        codes: list[Encoding]
        if self.code != "sketch":
            codes = [self._fixed_code(side, num_parameters, embedding_dim, seed)]
            hidden = self.hidden_widths(codes[0].width, num_parameters, embedding_dim)
        else:
            sketch = _sketch(side, num_parameters, embedding_dim)
            width = sketch.encoding.width
            own = decoder_size(width, sketch.options["hidden"], embedding_dim)
            hidden = self.hidden_widths(width + self.dense, own, embedding_dim)
            spent = self.network_size(width + self.dense, hidden, embedding_dim)
            rows, expected = (num_parameters - spent) // width, side.num_embeddings
            if self.rows_per_id is not None:
                rows, expected = round(self.rows_per_id * expected), 0  # ids own rows at any load
            if self.num_hashes:  # how many matters where all rows are shared
                plain = rows // self.num_hashes
                codes = [SketchEncoding(plain, width, num_hashes=self.num_hashes, seed=seed)]
            else:
                num_rows, own_rows = sketch_rows(rows, expected)
                codes = [SketchEncoding(num_rows, width, capacity=own_rows, seed=seed)]
            if self.dense:
                codes.append(DenseHashEncoding(self.dense, seed=seed))
        return DecodedEmbedding(
            embedding_dim,
            codes,
            hidden=hidden,
            activation=self.activation,
            norm=self.norm,
            dropout=self.dropout,
            skip=self.skip,
        )

    def hidden_widths(
        self, code_width: int, num_parameters: int, embedding_dim: int
    ) -> tuple[int, ...]:
        """Widths of the hidden layers of a network that fits a number of parameters.

        Raises:
            InputError: too few for layers of one unit.
        """
        if not self.depth:
            return ()
        # Layers of width w have a w^2 + b w parameters, of which those from the code are wide.
        per_unit = 1 + NORM_SIZES[self.norm]  # biases and norms
        a = self.depth - 1
        b = code_width + self.depth * per_unit + embedding_dim
        fixed = embedding_dim * (1 + self.skip * code_width)
        spend = num_parameters - fixed
        if spend < a + b:
            raise InputError(
                f"{self.depth} layers over {code_width} numbers need at least {a + b + fixed} "
                f"parameters here, got {num_parameters}: choose a larger size"
            )
        width = (isqrt(b * b + 4 * a * spend) - b) // (2 * a) if a else spend // b
        if not a:
            return (width,)
        left = spend - (a * width + b) * width
        last = width + left // (width + per_unit + embedding_dim)
        return (*[width] * (self.depth - 1), last)

    def network_size(self, code_width: int, hidden: tuple[int, ...], embedding_dim: int) -> int:
        """Parameters of a network."""
        inputs = (code_width, *hidden)
        per_unit = 1 + NORM_SIZES[self.norm]
        layers = sum(
            width * (before + per_unit) for before, width in zip(inputs, hidden, strict=False)
        )
        return layers + embedding_dim * (inputs[-1] + 1 + self.skip * code_width)

    def to_json(self) -> str:
        """What results call it. Rows an id are absent unless given, as in results before them."""
        fields = asdict(self)
        if self.rows_per_id is None:
            del fields["rows_per_id"]
        return json.dumps(fields)

    def _fixed_code(
        self, side: Side, num_parameters: int, embedding_dim: int, seed: int | str
    ) -> Encoding:
        if self.code == "binary_digits":
            return BinaryDigits()
        if self.code == "scaled_id":
            return ScaledId(int(side.ids.min()), int(side.ids.max()))
        num_hashes = self.num_hashes or deep_hash_shape(num_parameters, embedding_dim)[0]
        if self.code == "one_hot_hash":
            return OneHotHash(num_hashes, seed=seed)
        return DenseHashEncoding(
            num_hashes,
            seed=seed,
            family=self.family,
            num_buckets=self.num_buckets,
            transform=self.code,
        )


def _sketch(side: Side, num_parameters: int, embedding_dim: int) -> SketchEmbedding:
    """What the method "sketch" is at a size, without its weights."""
    with torch.device("meta"):
        sketch = build(
            "sketch",
            num_parameters=num_parameters,
            num_embeddings=side.num_embeddings,
            embedding_dim=embedding_dim,
            seed=0,
        )
    assert isinstance(sketch, SketchEmbedding)
    return sketch
