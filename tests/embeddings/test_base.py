"""The laws that every embedding keeps."""

import copy
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.embeddings import (
    CachedEmbedding,
    CafeEmbedding,
    DecodedEmbedding,
    DeepHashEmbedding,
    FullTable,
    HashEmbedding,
    HashingTrick,
    HybridHash,
    MultiHash,
    NarrowTable,
    QuotientRemainder,
    SketchEmbedding,
    build,
)
from tablefree.embeddings.base import table
from tablefree.encodings import DenseHashEncoding
from tablefree.errors import CheckpointError, InputError

DIM = 8
IDS = 100  # ids of the tables with a vocabulary


def cafe(seed):
    """One that has met all ids often enough to have hot ones."""
    embedding = CafeEmbedding(20, DIM, num_rows=50, seed=seed)
    ids = torch.arange(IDS)
    for _ in range(3):
        embedding(ids).backward(torch.ones(IDS, DIM))
    embedding.zero_grad()
    return embedding


WITH_VOCABULARY = {
    "full table": lambda: FullTable(IDS, DIM),
    "narrow table": lambda: NarrowTable(IDS, DIM, rank=3),
}
HASHED = {
    "hashing trick": lambda seed: HashingTrick(50, DIM, seed=seed),
    "multi-hash, added": lambda seed: MultiHash(50, DIM, seed=seed),
    "multi-hash, shared": lambda seed: MultiHash(50, DIM, shared=True, seed=seed),
    "multi-hash, concatenated": lambda seed: MultiHash(50, DIM, combine="concat", seed=seed),
    "hash embedding": lambda seed: HashEmbedding(50, DIM, num_importance_rows=200, seed=seed),
    "quotient-remainder, added": lambda seed: QuotientRemainder(
        50, DIM, num_quotients=9, combine="add", seed=seed
    ),
    "quotient-remainder, multiplied": lambda seed: QuotientRemainder(
        50, DIM, num_quotients=9, seed=seed
    ),
    "quotient-remainder, concatenated": lambda seed: QuotientRemainder(
        50, DIM, num_quotients=9, combine="concat", seed=seed
    ),
    "hybrid hash": lambda seed: HybridHash(
        50, DIM, frequent_ids=torch.arange(0, IDS, 3), seed=seed
    ),
    "CAFE": cafe,
    "deep hash": lambda seed: DeepHashEmbedding(DIM, num_hashes=16, hidden=(16, 16), seed=seed),
    "deep hash, no norm": lambda seed: DeepHashEmbedding(
        DIM, num_hashes=16, hidden=(16,), norm="none", transform="gaussian", seed=seed
    ),
    "sketch": lambda seed: SketchEmbedding(DIM, num_rows=50, code_width=3, seed=seed),
    "decoded": lambda seed: DecodedEmbedding(
        DIM, [HashingTrick(50, 4, seed=seed), DenseHashEncoding(6, seed=seed)], hidden=(8,)
    ),
}
# The default of `make` binds each factory now: a closure would see the last of the loop.
EVERY = WITH_VOCABULARY | {name: lambda make=make: make("item_id") for name, make in HASHED.items()}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
hashed = pytest.mark.parametrize("make", HASHED.values(), ids=HASHED.keys())
batches = st.lists(st.integers(0, IDS - 1), max_size=20)


@every
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_shape_and_dtype(make, shape, dtype):
    embedding = make()
    ids = torch.randint(IDS, shape).to(dtype)
    for module in (embedding, embedding.eval()):
        embeddings = module(ids)
        assert embeddings.shape == (*shape, DIM)
        assert embeddings.dtype == torch.float32
        assert embeddings.isfinite().all()


@every
@settings(max_examples=20, deadline=None)
@given(batch=batches, random=st.randoms(use_true_random=False))
def test_permuting_ids_permutes_rows(make, batch, random):
    embedding = make().eval()
    ids = torch.tensor(batch, dtype=torch.int64)
    order = torch.tensor(random.sample(range(len(batch)), len(batch)), dtype=torch.int64)
    torch.testing.assert_close(embedding(ids[order]), embedding(ids)[order])


@every
@settings(max_examples=20, deadline=None)
@given(batch=batches.filter(len))
def test_the_embedding_of_an_id_does_not_depend_on_its_batch(make, batch):
    embedding = make().eval()
    ids = torch.tensor(batch)
    alone = torch.stack([embedding(id_) for id_ in ids])
    torch.testing.assert_close(embedding(ids), alone)
    torch.testing.assert_close(embedding(ids.reshape(1, -1, 1)), alone[None, :, None])


@every
def test_gradient_reaches_every_parameter(make):
    embedding = make()
    target = torch.randn(IDS, DIM)
    (embedding(torch.arange(IDS)) * target).sum().backward()
    for name, parameter in embedding.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@hashed
def test_any_64_bit_id_will_do(make):
    embedding = make("item_id")
    ids = torch.tensor([0, 1, -1, 2**63 - 1, -(2**63), 2**31, 2**32])
    assert not embedding.needs_vocabulary
    assert embedding(ids).isfinite().all()
    assert torch.equal(embedding.eval()(ids[1]), embedding(torch.tensor(1, dtype=torch.int8)))


@every
def test_embeddings_start_at_the_common_scale(make):
    torch.manual_seed(0)
    embeddings = torch.stack([make()(torch.arange(IDS)) for _ in range(20)])
    assert embeddings.square().mean().sqrt().item() == pytest.approx(0.1, rel=0.2)


@every
def test_the_caller_s_seed_decides_the_weights(make):
    torch.manual_seed(7)
    first = make().state_dict()
    torch.manual_seed(7)
    assert all(torch.equal(value, first[name]) for name, value in make().state_dict().items())


@hashed
def test_equal_ids_of_different_features_get_different_rows(make):
    torch.manual_seed(0)
    item = make("item_id").eval()
    torch.manual_seed(0)
    user = make("user_id").eval()
    ids = torch.arange(3, 3 * IDS, 3) + 1
    same = (item(ids) == user(ids)).all(-1).float().mean()
    assert same < 0.1


@hashed
def test_a_checkpoint_of_another_seed_is_refused(make):
    saved = make("item_id").state_dict()
    with pytest.raises(CheckpointError, match="seed"):
        make("user_id").load_state_dict(saved)
    other = make("item_id").eval()
    assert other.load_state_dict(saved).missing_keys == []


@every
def test_copies_and_checkpoints_embed_alike(make):
    embedding = make().eval()
    ids = torch.arange(IDS)
    expected = embedding(ids)
    assert torch.equal(copy.deepcopy(embedding)(ids), expected)
    file = io.BytesIO()
    torch.save(embedding.state_dict(), file)
    file.seek(0)
    loaded = make().eval()
    loaded.load_state_dict(torch.load(file))
    assert torch.equal(loaded(ids), expected)


@every
def test_bfloat16_parameters_give_bfloat16_embeddings(make):
    embedding = make().eval()
    ids = torch.arange(IDS)
    expected = embedding(ids)
    halved = embedding.to(torch.bfloat16)(ids)
    assert halved.dtype == torch.bfloat16
    torch.testing.assert_close(halved.float(), expected, atol=0.02, rtol=0.05)


@every
def test_description_counts_what_the_modules_hold(make):
    embedding = make()
    description = embedding.describe()
    tensors = [*embedding.parameters(), *embedding.buffers()]
    assert description.num_parameters == embedding.num_parameters
    assert description.num_parameters == sum(p.numel() for p in embedding.parameters())
    assert description.num_bytes == sum(t.numel() * t.element_size() for t in tensors)
    assert description.multiply_adds == embedding.multiply_adds
    halved = embedding.to(torch.bfloat16).describe()
    assert halved.num_bytes < description.num_bytes


def test_multiply_adds():
    counts = {name: make().multiply_adds for name, make in EVERY.items()}
    assert counts == {
        "full table": 0,
        "narrow table": 3 * DIM,
        "hashing trick": 0,
        "multi-hash, added": DIM,
        "multi-hash, shared": DIM,
        "multi-hash, concatenated": 0,
        "hash embedding": 2 * DIM,
        "quotient-remainder, added": DIM,
        "quotient-remainder, multiplied": DIM,
        "quotient-remainder, concatenated": 0,
        "hybrid hash": DIM,
        "CAFE": 0,
        "deep hash": 16 * 16 + 16 * 16 + 16 * DIM,
        "deep hash, no norm": 16 * 16 + 16 * DIM,
        "sketch": 3 * DIM + 3 * 64 + 64 * DIM,
        "decoded": 10 * DIM + 10 * 8 + 8 * DIM,
    }


@every
@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.tensor([1.0]), "ids must be an integer tensor, got torch.float32"),
        (torch.tensor([True]), "ids must be an integer tensor, got torch.bool"),
        (torch.tensor([1j]), "ids must be an integer tensor, got torch.complex64"),
        ([1, 2], "ids must be an integer tensor, got list"),
    ],
)
def test_ids_that_are_no_integers_are_refused(make, ids, message):
    with pytest.raises(InputError, match=message):
        make()(ids)


@pytest.mark.parametrize("make", WITH_VOCABULARY.values(), ids=WITH_VOCABULARY.keys())
@pytest.mark.parametrize("bad", [-1, IDS + 1, 2**40])
def test_positions_outside_the_vocabulary_are_refused(make, bad):
    embedding = make()
    assert embedding.needs_vocabulary
    with pytest.raises(InputError, match=rf"must be 0..99, or 100 for an unknown id; got {bad}"):
        embedding(torch.tensor([[3, bad], [4, 5]]))


@pytest.mark.parametrize("make", WITH_VOCABULARY.values(), ids=WITH_VOCABULARY.keys())
def test_the_unknown_id_starts_at_zero(make):
    embeddings = make()(torch.tensor([IDS, 0]))
    assert torch.equal(embeddings[0], torch.zeros(DIM))
    assert embeddings[1].abs().sum() > 0


def test_table_draws_around_the_mean():
    torch.manual_seed(0)
    weight = table(500, 20, mean=1.0, std=0.3).weight
    assert weight.requires_grad
    assert weight.mean().item() == pytest.approx(1.0, abs=0.02)
    assert weight.std().item() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FullTable(0, DIM), "num_embeddings"),
        (lambda: FullTable(IDS, 0), "embedding_dim"),
        (lambda: NarrowTable(IDS, DIM, rank=0), "rank"),
        (lambda: HashingTrick(0, DIM, seed=0), "num_rows"),
        (lambda: MultiHash(5, DIM, num_hashes=0, seed=0), "num_hashes"),
        (lambda: HashEmbedding(5, DIM, num_importance_rows=0, seed=0), "num_importance_rows"),
        (lambda: QuotientRemainder(5, DIM, num_quotients=0, seed=0), "num_quotients"),
        (lambda: HybridHash(0, DIM, frequent_ids=torch.tensor([1]), seed=0), "num_rows"),
        (lambda: CafeEmbedding(0, DIM, num_rows=5, seed=0), "num_hot_rows"),
        (lambda: CafeEmbedding(5, DIM, num_rows=0, seed=0), "num_rows"),
    ],
)
def test_sizes_below_one_are_named(make, message):
    with pytest.raises(InputError, match=f"{message} must be an integer of at least 1, got 0"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: FullTable(10**14, 8),
        lambda: NarrowTable(np.int64(4), 2, 2**61),  # whose product overflows in NumPy
        lambda: HashingTrick(2**30, 2**20, seed=0),
        lambda: DeepHashEmbedding(8, hidden=(10**9, 10**9), seed=0),
        lambda: SketchEmbedding(8, num_rows=4, code_width=2, capacity=2**62, seed=0),
        lambda: SketchEmbedding(8, num_rows=4, code_width=2, capacity=16, seed=0).grow(2**62),
        lambda: CachedEmbedding(FullTable(4, 2), 2**62),
        lambda: CafeEmbedding(2**40, 8, num_rows=4, seed=0),
        lambda: build(
            "sketch", num_parameters=10**13, num_embeddings=9, embedding_dim=10**12, seed=0
        ),
    ],
)
def test_what_no_machine_can_hold_is_refused_before_memory_is_taken(make):
    with pytest.raises(InputError, match="GiB, and this machine has"):
        make()


def test_outlines_of_what_no_machine_can_hold_take_no_memory():
    with torch.device("meta"):
        assert FullTable(10**14, 8).num_parameters == 8 * (10**14 + 1)


def test_integers_whose_products_overflow_are_refused():
    for size in (np.uint8(255), np.int32(4)):
        with pytest.raises(InputError, match="must be an int, or of 64 bits"):
            FullTable(size, 8)
    with pytest.raises(InputError, match=r"must be an integer below 2\^63"):
        FullTable(2**63, 8)


@pytest.mark.parametrize("factor", [float("nan"), float("-inf"), 10**400, 1j, "2"])
def test_a_factor_that_is_not_finite_is_refused(factor):
    embedding = FullTable(4, 2)
    with pytest.raises(InputError, match="a factor must be finite"):
        embedding.rescale(factor)
    assert embedding.rows.weight.isfinite().all()


def test_nested_ids_are_for_collections():
    ids = torch.nested.nested_tensor([torch.arange(2), torch.arange(3)], layout=torch.jagged)
    for embedding in (FullTable(4, 2), HashingTrick(4, 2, seed=0)):
        with pytest.raises(InputError, match="a dense tensor, each an id"):
            embedding(ids)
