"""Embeddings by name: the paper's, and the one to begin with."""

from math import ceil, inf

from tablefree.checks import check_positive
from tablefree.embeddings import ClaimedRows, DeepHashEmbedding, SketchEmbedding, build
from tablefree.embeddings.budget import CLAIMED_SIZE
from tablefree.errors import InputError


def kdd2021(embedding_dim: int, *, seed: int | str) -> DeepHashEmbedding:
    """The embedding of Kang et al., KDD 2021, as in its figure 1.

    1,024 hashes, uniform codes, five hidden layers of 1,800 units with batch norm and Mish: 14.9
    million parameters at width 32, however many ids there are. For comparing with the paper, and
    for what it alone does: no number is kept for any id. It costs 14.9 million multiply-adds an id
    and underfits sparse data; a smaller one comes from `tablefree.embeddings.build("deep_hash",
    …)`.

    Example:
        >>> kdd2021(32, seed="item_id").num_parameters
        14887832
    """
    return DeepHashEmbedding(embedding_dim, hidden=(1800,) * 5, seed=seed)


def sketch(
    embedding_dim: int,
    *,
    capacity: int = 0,
    size: float = 1 / 4,
    seed: int | str,
    num_ids: int = 0,
) -> SketchEmbedding:
    """The bounded default: a row of a few numbers for each id that training meets, and a decoder.

    On sparse data a few numbers an id under a decoder of one hidden layer beat rows of the full
    width (see docs/claims.md), and need no vocabulary: rows are found by hashes. An id that
    training never met is neutral; when more ids come than were expected, the last share rows.

    Args:
        embedding_dim: width of an embedding.
        capacity: about how many distinct ids are expected.
        size: parameters, as a ratio to those of a table of `capacity` rows.
        seed: picks the hash functions; the name of the feature is a good seed, but where
            strangers choose ids: see `tablefree.Secret`.
        num_ids: the former name of `capacity`.

    Raises:
        InputError: a capacity below 1, or a size too small for the decoder.

    Example:
        >>> embedding = sketch(32, capacity=1_000_000, seed="item_id")
        >>> embedding.encoding.width, embedding.num_parameters
        (7, 7999980)
    """
    capacity = capacity or num_ids
    check_positive(capacity=capacity, embedding_dim=embedding_dim)
    if not 0 < size < inf:
        raise InputError(f"size must be above 0 and finite, got {size}")
    embedding = build(
        "sketch",
        num_parameters=max(1, int(size * capacity * embedding_dim)),
        num_embeddings=capacity,
        embedding_dim=embedding_dim,
        seed=seed,
    )
    assert isinstance(embedding, SketchEmbedding)
    return embedding


def claimed_rows(embedding_dim: int, *, capacity: int, seed: int | str) -> ClaimedRows:
    """A row of full width for each id that training meets: what to train in order to pack it.

    As accurate as a full table, and as large until `tablefree.pack` makes of it a twelfth to a
    thirtieth (see docs/packing.md). `tablefree.hold_rows` has it learn in a quarter of the memory.

    Args:
        embedding_dim: width of an embedding.
        capacity: about how many distinct ids are expected: there are six in a hundred more rows.
        seed: picks the hash functions; the name of the feature is a good seed, but where
            strangers choose ids: see `tablefree.Secret`.

    Raises:
        InputError: a capacity or a width below 1.

    Example:
        >>> embedding = claimed_rows(32, capacity=1_000_000, seed="item_id")
        >>> embedding.capacity, embedding.num_parameters
        (1060000, 34458368)
    """
    check_positive(capacity=capacity, embedding_dim=embedding_dim)
    embedding = build(
        "claimed_rows",
        num_parameters=embedding_dim * max(20, ceil(CLAIMED_SIZE * capacity)),
        num_embeddings=capacity,
        embedding_dim=embedding_dim,
        seed=seed,
    )
    assert isinstance(embedding, ClaimedRows)
    return embedding
