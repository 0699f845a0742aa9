"""A cache changes no embedding, whatever the traffic and whatever happens to the weights."""

import copy
import io
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tablefree.embeddings import CachedEmbedding, DeepHashEmbedding, Embedding, HashingTrick
from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import InputError

DIM = 8
EXTREMES = [0, 1, -1, 2**63 - 1, -(2**63)]
batches = st.lists(
    st.lists(st.sampled_from(EXTREMES) | st.integers(-40, 40), max_size=30), max_size=8
)


class Numbered(Embedding):
    """The id and the number of the call that computed it; counts the ids it is given."""

    def __init__(self) -> None:
        super().__init__(2)
        self.weight = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.calls: list[list[int]] = []
        self.during = lambda: None
        self.eval()

    def forward(self, ids: Tensor) -> Tensor:
        self.calls.append(ids.flatten().tolist())
        self.during()
        return torch.stack([ids.double(), torch.full(ids.shape, len(self.calls)).double()], dim=-1)

    multiply_adds = 5

    def config(self) -> dict[str, object]:
        return {"method": "numbered"}


def rows() -> HashingTrick:
    return HashingTrick(50, DIM, seed="item_id").eval()


def deep(**options) -> DeepHashEmbedding:
    return DeepHashEmbedding(DIM, num_hashes=16, hidden=(16, 16), seed="item_id", **options).eval()


FROZEN = {str(dtype): deep().freeze(dtype) for dtype in (torch.float32, torch.bfloat16, torch.int8)}


def ids(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


@settings(deadline=None)
@given(batches, st.integers(1, 30))
def test_any_traffic_gives_the_bits_of_a_table(batches, num_rows):
    embedding = rows()
    cached = CachedEmbedding(embedding, num_rows)
    with torch.no_grad():
        for batch in batches:
            assert torch.equal(cached(ids(*batch)), embedding(ids(*batch)))


@pytest.mark.parametrize("name", FROZEN)
@settings(deadline=None, max_examples=30)
@given(batches=batches, num_rows=st.integers(1, 30))
def test_any_traffic_gives_the_embeddings_of_a_network(name, batches, num_rows):
    cached = CachedEmbedding(FROZEN[name], num_rows)
    tolerance = 1e-2 if name == "torch.bfloat16" else 1e-5
    for batch in batches:
        embeddings, expected = cached(ids(*batch)), FROZEN[name](ids(*batch))
        torch.testing.assert_close(embeddings, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7,), (2, 0), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_shape_and_dtype(shape, dtype):
    embedding = deep().freeze()
    cached = CachedEmbedding(embedding, 10)
    batch = torch.randint(20, shape).to(dtype)
    for _ in range(2):
        embeddings = cached(batch)
        assert embeddings.shape == (*shape, DIM)
        torch.testing.assert_close(embeddings, embedding(batch))


def test_ids_need_not_be_contiguous():
    batch = torch.arange(24).reshape(4, 6).T[::2]
    embedding = deep().freeze()
    torch.testing.assert_close(CachedEmbedding(embedding, 8)(batch), embedding(batch))


def test_a_hit_is_what_was_computed():
    numbered = Numbered()
    cached = CachedEmbedding(numbered, 100)
    first = cached(ids(*EXTREMES, 5, 5))
    assert torch.equal(cached(ids(5, 0, *EXTREMES)), first[[5, 0, 0, 1, 2, 3, 4]])
    assert cached(ids(5, 6))[:, 1].tolist() == [1, 2]
    assert numbered.calls == [sorted([*EXTREMES, 5]), [6]]


def test_an_id_like_an_empty_slot_is_not_found_there():
    numbered = Numbered()
    cached = CachedEmbedding(numbered, 8)
    assert cached(ids(3)).tolist() == [[3, 1]]
    assert cached(ids(0, 3)).tolist() == [[0, 2], [3, 1]]


def test_memory_is_bounded():
    cached = CachedEmbedding(Numbered(), 20)
    for start in range(0, 3000, 100):
        cached(torch.arange(start, start + 100))
        assert cached._cache._rows.shape == (24, 2)
        assert cached._cache._keys.size == cached._cache._counts.size == 24


def test_what_the_caller_does_to_embeddings_stays_with_the_caller():
    cached = CachedEmbedding(Numbered(), 8)
    cached(ids(3)).zero_()
    cached(ids(3)).zero_()
    assert cached(ids(3)).tolist() == [[3, 1]]


def step(make):
    def change(embedding: Embedding) -> None:
        optimizer = make(embedding.parameters())
        embedding.train()(torch.arange(8)).sum().backward()
        optimizer.step()
        embedding.eval()

    return change


def copy_in_place(embedding: Embedding) -> None:
    with torch.no_grad():
        next(embedding.parameters()).mul_(2)


def copy_in_inference_mode(embedding: Embedding) -> None:
    with torch.inference_mode():
        next(embedding.parameters()).mul_(2)


def load(embedding: Embedding, assign: bool = False) -> None:
    state = {k: v + v if v.is_floating_point() else v for k, v in embedding.state_dict().items()}
    embedding.load_state_dict(state, assign=assign)


def there_and_back(embedding: Embedding) -> None:
    embedding.to(torch.bfloat16)
    embedding.to(torch.float32)


CHANGES = {
    "SGD": step(lambda parameters: torch.optim.SGD(parameters, lr=1.0)),
    "AdamW": step(lambda parameters: torch.optim.AdamW(parameters, lr=1.0, foreach=True)),
    "fused AdamW": step(lambda parameters: torch.optim.AdamW(parameters, lr=1.0, fused=True)),
    "in place": copy_in_place,
    "in place, in inference mode": copy_in_inference_mode,
    "load_state_dict": load,
    "load_state_dict, assigned": lambda embedding: load(embedding, assign=True),
    "to": lambda embedding: embedding.to(torch.float64),
    "there and back": there_and_back,
}


@pytest.mark.parametrize("make", [rows, lambda: deep(norm="none"), deep])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@torch.no_grad()
def test_no_row_outlives_its_weights(change, make):
    embedding = make()
    cached = CachedEmbedding(embedding, 100)
    before = cached(torch.arange(8))
    with torch.enable_grad():
        change(embedding)
    after = cached(torch.arange(8))
    assert after.dtype != before.dtype or not torch.equal(after, before)
    assert torch.equal(after, embedding(torch.arange(8)))


def test_a_buffer_counts_as_a_weight():
    embedding = deep().freeze()
    cached = CachedEmbedding(embedding, 100)
    cached(ids(1))
    embedding.network.bias0.add_(1)
    torch.testing.assert_close(cached(ids(1)), embedding(ids(1)))


def test_rows_computed_while_weights_change_are_not_kept():
    numbered = Numbered()
    cached = CachedEmbedding(numbered, 8)
    numbered.during = lambda: numbered.weight.add_(1)
    cached(ids(1))
    numbered.during = lambda: None
    assert cached(ids(1)).tolist() == [[1, 2]]
    assert cached(ids(1)).tolist() == [[1, 2]]


def test_clear_drops_what_torch_cannot_see():
    embedding = rows()
    cached = CachedEmbedding(embedding, 8)
    with torch.no_grad():
        cached(ids(1))
        embedding.rows.weight.data.mul_(2)
        cached.clear()
        assert torch.equal(cached(ids(1)), embedding(ids(1)))


def test_weights_whose_changes_are_not_counted_are_refused():
    with torch.inference_mode():
        embedding = deep().freeze()
    with pytest.raises(InputError, match=r"made in torch.inference_mode"):
        CachedEmbedding(embedding, 8)(ids(1))


@pytest.mark.parametrize(
    ("change", "hidden"), [*((change, None) for change in CHANGES.values()), (load, (4,))]
)
@torch.no_grad()
def test_no_user_outlives_the_items_of_its_history(change, hidden):
    items = rows()
    users = HistoryUsers(items, DIM, hidden=hidden)
    users.set_histories(ids(0, 2, 3), ids(1, 2, 3))
    cached = CachedEmbedding(users.eval(), 100)
    before = cached(ids(0, 1))
    with torch.enable_grad():
        change(items)
    after = cached(ids(0, 1))
    assert after.dtype != before.dtype or not torch.equal(after, before)
    assert torch.equal(after, users(ids(0, 1)))


def test_gradients_pass_through_to_the_items_of_a_history():
    items = rows()
    users = HistoryUsers(items, DIM)
    users.set_histories(ids(0, 2), ids(1, 2))
    CachedEmbedding(users.eval(), 8)(ids(0)).sum().backward()
    assert items.rows.weight.grad is not None


def test_it_is_scaled_as_the_wrapped_embedding_is():
    embedding = rows()
    cached = CachedEmbedding(embedding, 8)
    with torch.no_grad():
        before = cached(ids(1, 2))
        cached.rescale(2.0)
        assert torch.equal(cached(ids(1, 2)), 2 * before)


def test_autocast_has_rows_of_its_own():
    network = deep(norm="none")
    cached = CachedEmbedding(network, 8)
    with torch.no_grad():
        assert cached(ids(1)).dtype == torch.float32
        with torch.autocast("cpu", torch.bfloat16):
            assert cached(ids(1)).dtype == network(ids(1)).dtype == torch.bfloat16
        assert cached(ids(1)).dtype == torch.float32


def test_inference_mode_may_come_and_go():
    embedding = deep().freeze()
    cached = CachedEmbedding(embedding, 8)
    with torch.inference_mode():
        cached(ids(1))
    cached(ids(1, 2))
    with torch.inference_mode():
        torch.testing.assert_close(cached(ids(1, 2, 3)), embedding(ids(1, 2, 3)))


def test_training_mode_passes_through():
    embedding = Numbered()
    cached = CachedEmbedding(embedding, 8)
    assert not cached.training
    cached.train()
    assert cached(ids(1, 1))[:, 1].tolist() == [1, 1]
    assert cached(ids(1, 1))[:, 1].tolist() == [2, 2]
    cached.eval()
    embedding.train()
    assert cached(ids(1, 1))[:, 1].tolist() == [3, 3]
    assert CachedEmbedding(embedding, 8).training
    assert embedding.calls == [[1, 1]] * 3


def test_gradients_pass_through():
    embedding = rows()
    cached = CachedEmbedding(embedding, 8)
    with torch.no_grad():
        cached(ids(1))
    cached(ids(1)).sum().backward()
    assert embedding.rows.weight.grad.sum() == DIM


def test_threads_get_the_right_rows():
    embedding = rows()
    cached = CachedEmbedding(embedding, 16)

    @torch.no_grad()
    def work(seed: int) -> bool:
        generator = torch.Generator().manual_seed(seed)
        # Squares: a few ids are hot, and more threads than one place the same.
        traffic = (torch.rand(60, 40, generator=generator) ** 2 * 60).long()
        return all(torch.equal(cached(batch), embedding(batch)) for batch in traffic)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_threads_see_new_weights():
    embedding = rows()
    nn.init.zeros_(embedding.rows.weight)
    cached = CachedEmbedding(embedding, 16)
    seen = 0.0

    @torch.no_grad()
    def look(_: int) -> bool:
        before = seen
        embeddings = cached(torch.arange(10))
        return bool((embeddings >= before).all())

    with ThreadPoolExecutor(4) as pool, torch.no_grad():
        looks = []
        for number in range(50):
            looks += [pool.submit(look, number) for _ in range(8)]
            embedding.rows.weight.add_(1)
            seen = number + 1.0
        assert all(each.result() for each in looks)
        assert torch.equal(cached(torch.arange(10)), torch.full((10, DIM), 50.0))


def test_copies_and_pickles_start_empty():
    cached = CachedEmbedding(deep().freeze(), 8)
    expected = cached(ids(1, 2))
    file = io.BytesIO()
    torch.save(cached, file)
    assert file.tell() < 50_000
    file.seek(0)
    for other in (copy.deepcopy(cached), torch.load(file, weights_only=False)):
        assert other._cache is not cached._cache
        assert other._cache._rows is None
        assert torch.equal(other(ids(1, 2)), expected)


def test_the_state_dict_is_that_of_the_wrapped_embedding():
    embedding = rows()
    cached = CachedEmbedding(embedding, 8)
    assert {f"embedding.{name}" for name in embedding.state_dict()} == set(cached.state_dict())


def test_it_has_the_properties_of_the_wrapped_embedding():
    embedding = Numbered()
    cached = CachedEmbedding(embedding, 8)
    assert cached.embedding_dim == 2
    assert not cached.needs_vocabulary
    assert cached.describe() == embedding.describe()
    assert cached.config() == embedding.config()


@torch.no_grad()
def test_it_compiles_without_the_cache():
    embedding = rows()
    cached = CachedEmbedding(embedding, 8)
    compiled = torch.compile(cached, backend="aot_eager", fullgraph=True)
    assert torch.equal(compiled(ids(1, 2)), embedding(ids(1, 2)))
    assert cached._cache._rows is None


@pytest.mark.parametrize("num_rows", [0, -1, 1.5])
def test_a_cache_of_no_rows_is_refused(num_rows):
    with pytest.raises(InputError, match="num_rows must be an integer of at least 1"):
        CachedEmbedding(rows(), num_rows)


def test_what_cannot_be_cached_is_refused():
    with pytest.raises(InputError, match="wraps a tablefree Embedding, got Embedding"):
        CachedEmbedding(nn.Embedding(3, 3), 8)


@pytest.mark.parametrize("bad", [torch.tensor([1.0]), torch.tensor([True]), [1, 2]])
def test_ids_that_are_no_integers_are_refused(bad):
    with pytest.raises(InputError, match="ids must be an integer tensor"):
        CachedEmbedding(rows(), 8)(bad)
