"""From a number of parameters to the configuration of each method that fits it.

Closed forms: sizes come from solving the count of parameters for them, never from building modules.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from math import ceil, isqrt, sqrt

from jaxtyping import Int
from torch import Tensor

from tablefree.checks import check_choice, check_memory, check_positive
from tablefree.embeddings.base import Embedding
from tablefree.embeddings.cafe import CafeEmbedding
from tablefree.embeddings.claimed_rows import ClaimedRows
from tablefree.embeddings.decoded import DecodedEmbedding
from tablefree.embeddings.deep_hash import DeepHashEmbedding
from tablefree.embeddings.full_table import FullTable
from tablefree.embeddings.hash_embedding import HashEmbedding
from tablefree.embeddings.hashing_trick import HashingTrick
from tablefree.embeddings.hybrid import HybridHash
from tablefree.embeddings.multi_hash import MultiHash
from tablefree.embeddings.narrow_table import NarrowTable
from tablefree.embeddings.quotient_remainder import QuotientRemainder
from tablefree.embeddings.sketch import SketchEmbedding
from tablefree.encodings.hot_sketch import ID_BYTES
from tablefree.encodings.row_claims import SLOTS
from tablefree.errors import InputError
from tablefree.scales import CODE_STD

METHODS = (
    "full_table",
    "narrow_table",
    "hashing_trick",
    "multi_hash",
    "hash_embedding",
    "quotient_remainder",
    "hybrid_hash",
    "cafe",
    "deep_hash",
    "sketch",
    "claimed_rows",
)

PAIRS_PER_ID = 16  # quotient-remainder: 6 % of the ids then share their pair with another
HOT_SHARE = 0.7  # CAFE: of the numbers, those of the hot rows; the paper's
HOT_ID_SIZE = ID_BYTES // 4  # CAFE: numbers of float32 that the id of a hot row takes
MAX_NUM_HASHES = 1024  # deep hash: the paper's code
SKETCH_HASHES = 4  # better than 2 and 6
MOST_DECODER_UNITS, FEWEST_DECODER_UNITS = 64, 8  # of the hidden layer over a sketch
DECODER_SHARE = 0.25  # of the parameters, at most, where that leaves it its fewest units
SKETCH_SHARED = 1 / 32  # of the rows, where the rest have owners
CLAIMED_SHARED = 1 / 64  # of the rows of full width
CLAIMED_ROOM = 1.06  # rows of their own for an id: with 1.02 Amazon Books loses .0015 of AUC
CLAIMED_SIZE = CLAIMED_ROOM / (1 - CLAIMED_SHARED)  # of rows for all ids, to a full table
SKETCH_LOAD = 1.01  # ids a row that may have an owner at most, which decides how wide the rows are
SKETCH_OVERLOAD = 1.25  # with more ids a row, all rows are shared: every id needs a code
NARROWEST_SKETCH = 2  # numbers of a row: where fewer would do, the rows are fewer instead
CODE_TO_WIDTH = 2  # deep hash: with a code of fixed width a small budget would starve the depth


def build(
    method: str,
    *,
    num_parameters: int,
    num_embeddings: int,
    embedding_dim: int,
    seed: int | str,
    frequent_ids: Int[Tensor, " n"] | None = None,
    decoder: Sequence[int] = (),
    code_width: int | None = None,
) -> Embedding:
    """The largest configuration of a method that fits a number of parameters.

    It is within 1 % of `num_parameters`, and not above it, as far as the method's grain allows: a
    table grows by a row (two tables by two), which is more than 1 % of fewer than a hundred rows.
    A narrow table grows by its rank, so it may be well below; it and the full table may be above by
    up to 1 %, the row of unknown ids and the projection. The decoder of a full table comes on top.
    The id of a hot row counts as two parameters, for "cafe" keeps it in 8 bytes; what it keeps to
    learn alone does not count.

    Args:
        method: one of `METHODS`.
        num_parameters: learned numbers to spend.
        num_embeddings: number of distinct ids to embed, n; for "sketch" and "claimed_rows", which
            take more too, as many as are expected. Claimed rows have one for each of them from
            `CLAIMED_SIZE` times the full table's parameters on.
        embedding_dim: width of an embedding.
        seed: picks the hash functions; the name of the feature is a good seed.
        frequent_ids: distinct ids, the most frequent first, of which "hybrid_hash" takes as many as
            half of its rows; the other methods have no use for them.
        decoder: widths of the hidden layers of a decoder, with a linear skip, over the method's own
            embeddings, which are its code; "deep_hash" has a network anyway, and "sketch" a
            decoder of one layer by default, see `sketch_decoder`.
        code_width: numbers of a code under the decoder; by default the embedding's width, and for a
            sketch as many as leave each id a row of its own, but at least two.

    Raises:
        InputError: an unknown method; a size too small for the method (the message names its
            smallest), or other than n * embedding_dim for the full table, which has no other;
            "hybrid_hash" without `frequent_ids`; a code width without a decoder.

    Example:
        >>> embedding = build(
        ...     "hashing_trick", num_parameters=8000, num_embeddings=1000, embedding_dim=32, seed=0
        ... )
        >>> embedding.num_parameters
        8000
    """
    check_choice("method", method, METHODS)
    check_positive(
        num_parameters=num_parameters, num_embeddings=num_embeddings, embedding_dim=embedding_dim
    )
    check_memory(max(num_parameters, embedding_dim))
    if method == "sketch":
        hidden = tuple(decoder) or sketch_decoder(num_parameters, embedding_dim)
        width = code_width or sketch_width(num_parameters, num_embeddings, hidden, embedding_dim)
        fixed = decoder_size(width, hidden, embedding_dim)
        _check_size(method, num_parameters, fixed + SKETCH_HASHES * width)
        num_rows, own_rows = sketch_rows((num_parameters - fixed) // width, num_embeddings)
        return SketchEmbedding(
            embedding_dim,
            num_rows=num_rows,
            code_width=width,
            num_hashes=SKETCH_HASHES,
            capacity=own_rows,
            hidden=hidden,
            seed=seed,
        )
    if not decoder or method == "deep_hash":
        if code_width is not None:
            raise InputError(f"{method} without a decoder has no code_width, got {code_width}")
        return _undecoded(method, num_parameters, num_embeddings, embedding_dim, seed, frequent_ids)
    if method in ("full_table", "narrow_table"):
        if method == "full_table":
            _check_full_size(num_parameters, num_embeddings, embedding_dim)
            rank = embedding_dim
        else:
            rank = code_width or _decoded_rank(
                num_parameters, num_embeddings, decoder, embedding_dim
            )
        code: Embedding = FullTable(num_embeddings, rank)
    else:
        width = code_width or embedding_dim
        left = num_parameters - decoder_size(width, decoder, embedding_dim)
        _check_size(method, left, 1)
        code = _undecoded(method, left, num_embeddings, width, seed, frequent_ids)
    code.rescale(CODE_STD / code.std)
    return DecodedEmbedding(embedding_dim, [code], hidden=decoder)


def _undecoded(
    method: str,
    num_parameters: int,
    num_embeddings: int,
    embedding_dim: int,
    seed: int | str,
    frequent_ids: Int[Tensor, " n"] | None,
) -> Embedding:
    num_rows = num_parameters // embedding_dim
    match method:
        case "full_table":
            _check_full_size(num_parameters, num_embeddings, embedding_dim)
            return FullTable(num_embeddings, embedding_dim)
        case "narrow_table":
            rank = narrow_rank(num_parameters, num_embeddings, embedding_dim)
            return NarrowTable(num_embeddings, embedding_dim, rank)
        case "hashing_trick":
            _check_size(method, num_parameters, embedding_dim)
            return HashingTrick(num_rows, embedding_dim, seed=seed)
        case "multi_hash":
            _check_size(method, num_parameters, 2 * embedding_dim)
            return MultiHash(num_rows // 2, embedding_dim, seed=seed)
        case "hash_embedding":
            pool, importance = hash_embedding_rows(num_parameters, num_embeddings, embedding_dim)
            return HashEmbedding(pool, embedding_dim, num_importance_rows=importance, seed=seed)
        case "quotient_remainder":
            _check_size(method, num_parameters, 2 * embedding_dim)
            remainders, quotients = quotient_remainder_rows(num_rows, num_embeddings)
            return QuotientRemainder(remainders, embedding_dim, num_quotients=quotients, seed=seed)
        case "hybrid_hash":
            _check_size(method, num_parameters, 2 * embedding_dim)
            if frequent_ids is None:
                raise InputError("hybrid_hash needs frequent_ids, the most frequent first")
            own = frequent_ids[: num_rows // 2]
            return HybridHash(num_rows - len(own), embedding_dim, frequent_ids=own, seed=seed)
        case "cafe":
            hot, shared = cafe_rows(num_parameters, num_embeddings, embedding_dim)
            return CafeEmbedding(hot, embedding_dim, num_rows=shared, seed=seed)
        case "claimed_rows":
            _check_size(method, num_parameters, (SLOTS + SKETCH_HASHES) * embedding_dim)
            own_rows, shared = claimed_rows(num_rows)
            return ClaimedRows(own_rows, embedding_dim, num_rows=shared, seed=seed)
        case _:
            num_hashes, hidden = deep_hash_shape(num_parameters, embedding_dim)
            return DeepHashEmbedding(embedding_dim, num_hashes=num_hashes, hidden=hidden, seed=seed)


def decoder_size(code_width: int, hidden: Sequence[int], embedding_dim: int) -> int:
    """Parameters of a decoder with RMS norm and a linear skip."""
    widths = [code_width, *hidden, embedding_dim]
    products = sum((a + 1) * b for a, b in pairwise(widths))
    return products + sum(hidden) + code_width * embedding_dim


def sketch_decoder(num_parameters: int, embedding_dim: int) -> tuple[int]:
    """The hidden layer over a sketch: 64 units, halved until it leaves the rows three quarters."""
    units = MOST_DECODER_UNITS
    while (
        units > FEWEST_DECODER_UNITS
        and decoder_size(0, (units,), embedding_dim) > DECODER_SHARE * num_parameters
    ):
        units //= 2
    return (units,)


def sketch_width(
    num_parameters: int, num_embeddings: int, hidden: Sequence[int], embedding_dim: int
) -> int:
    """Numbers of a row of a sketch that leave each id a row of its own.

    At least `NARROWEST_SKETCH`, with fewer rows, and at most the width of an embedding.
    """

    def is_too_wide(width: int) -> bool:
        rows = (num_parameters - decoder_size(width, hidden, embedding_dim)) // width
        return rows * (1 - SKETCH_SHARED) * SKETCH_LOAD < num_embeddings

    wider = range(NARROWEST_SKETCH + 1, embedding_dim + 1)
    return NARROWEST_SKETCH + bisect_left(wider, True, key=is_too_wide)


def sketch_rows(num_rows: int, num_embeddings: int) -> tuple[int, int]:
    """Of the rows of a sketch, those of each shared table and those that ids own."""
    own = int(num_rows * (1 - SKETCH_SHARED)) // SLOTS * SLOTS
    if own * SKETCH_OVERLOAD < num_embeddings:
        own = 0
    return (num_rows - own) // SKETCH_HASHES, own


def claimed_rows(num_rows: int) -> tuple[int, int]:
    """Of rows of full width, at least 20, those that ids own, and those of each shared table."""
    own = max(SLOTS, int(num_rows * (1 - CLAIMED_SHARED)) // SLOTS * SLOTS)
    own -= SLOTS * (own + SKETCH_HASHES > num_rows)
    return own, (num_rows - own) // SKETCH_HASHES


def _decoded_rank(
    num_parameters: int, num_embeddings: int, decoder: Sequence[int], embedding_dim: int
) -> int:
    """The largest rank of a table that fits with its decoder within 1.01 times the parameters."""
    fixed = decoder_size(0, decoder, embedding_dim)
    rank_size = num_embeddings + 1 + decoder_size(1, decoder, embedding_dim) - fixed
    _check_size("narrow_table", num_parameters, ceil((fixed + rank_size) / 1.01))
    return int((1.01 * num_parameters - fixed) / rank_size)


def _check_full_size(num_parameters: int, num_embeddings: int, embedding_dim: int) -> None:
    full_size = num_embeddings * embedding_dim
    if abs(num_parameters - full_size) > 0.01 * full_size:
        raise InputError(
            f"a full table has only one size, {full_size} parameters here, got "
            f"{num_parameters}: choose size 1 or another method"
        )


def narrow_rank(num_parameters: int, num_embeddings: int, embedding_dim: int) -> int:
    """The largest rank of a narrow table within 1.01 times the parameters."""
    rank_size = num_embeddings + 1 + embedding_dim
    _check_size("narrow_table", num_parameters, ceil(rank_size / 1.01))
    return int(1.01 * num_parameters / rank_size)


def hash_embedding_rows(
    num_parameters: int, num_embeddings: int, embedding_dim: int
) -> tuple[int, int]:
    """Rows of the pool and rows of two importance weights.

    A quarter of the parameters go to the importance weights, but no more than two an id; so does
    what is left of the pool by its last, incomplete row.
    """
    _check_size("hash_embedding", num_parameters, embedding_dim + 2)
    importance = min(num_embeddings, num_parameters // 8)
    pool = max(1, (num_parameters - 2 * importance) // embedding_dim)
    return pool, (num_parameters - pool * embedding_dim) // 2


def quotient_remainder_rows(num_rows: int, num_embeddings: int) -> tuple[int, int]:
    """Rows of the tables of remainders and of quotients, `num_rows` together.

    As few quotients as give `PAIRS_PER_ID` pairs of rows an id: the larger root of
    remainders * (num_rows - remainders) = pairs. Where there is none, as many pairs as can be.
    """
    discriminant = num_rows**2 - 4 * PAIRS_PER_ID * num_embeddings
    remainders = (num_rows + isqrt(max(0, discriminant))) // 2
    return remainders, num_rows - remainders


def cafe_rows(num_parameters: int, num_embeddings: int, embedding_dim: int) -> tuple[int, int]:
    """Rows of hot ids, as many as there are ids at most, and rows that the others share."""
    hot_size = embedding_dim + HOT_ID_SIZE
    _check_size("cafe", num_parameters, hot_size + embedding_dim)
    most = (num_parameters - embedding_dim) // hot_size
    hot = max(1, min(most, int(HOT_SHARE * num_parameters / hot_size), num_embeddings))
    return hot, (num_parameters - hot * hot_size) // embedding_dim


def deep_hash_shape(num_parameters: int, embedding_dim: int) -> tuple[int, tuple[int, ...]]:
    """Width of the code (even) and widths of the hidden layers of a deep hash embedding.

    Equal hidden layers: two below a million parameters, five from there on. The code is
    `CODE_TO_WIDTH` times as wide as a layer and at most `MAX_NUM_HASHES`; it grows further by
    what rounding the width leaves.
    """
    depth = 2 if num_parameters < 1_000_000 else 5
    # A network of width w (batch norm has two numbers a unit) and k hashes has
    # k w + (depth - 1) w^2 + per_width w + embedding_dim numbers.
    per_width = 3 * depth + embedding_dim

    def size(num_hashes: int, width: int) -> int:
        return (num_hashes + (depth - 1) * width + per_width) * width + embedding_dim

    _check_size("deep_hash", num_parameters, size(CODE_TO_WIDTH, 1))
    spend = num_parameters - embedding_dim
    widest = max(
        _positive_root(depth - 1 + CODE_TO_WIDTH, per_width, spend),
        _positive_root(depth - 1, per_width + MAX_NUM_HASHES, spend),
    )

    def num_hashes(width: int) -> int:
        left = spend // width - (depth - 1) * width - per_width
        return min(MAX_NUM_HASHES, left - left % 2)

    def shortfall(width: int) -> float:
        return max(0.01, 1 - size(num_hashes(width), width) / num_parameters)

    # The code grows by two hashes, 2 w numbers: where that is too coarse for 1 %, layers narrower
    # by a unit or more may fit better. The widest within 1 % is taken.
    width = min(range(widest, widest * 3 // 4, -1), key=shortfall)
    return num_hashes(width), (width,) * depth


def _positive_root(a: int, b: int, c: int) -> int:
    """The positive root of a x^2 + b x = c, rounded down."""
    return int((sqrt(b * b + 4 * a * c) - b) / (2 * a))


def _check_size(method: str, num_parameters: int, smallest: int) -> None:
    if num_parameters < smallest:
        raise InputError(
            f"{method} needs at least {smallest} parameters here, got {num_parameters}: "
            "choose a larger size or another method"
        )
