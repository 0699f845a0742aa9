"""No event of the validation or test part reaches training: whatever they are, it sees the same.

Guards against a training that knows what it is tested on: by its negatives, its histories, its
vocabularies, how often an id occurs, how its features are scaled, or the mere order in which ids
are numbered (Kaufman et al., "Leakage in Data Mining: Formulation, Detection, and Avoidance",
2012: what is legitimate to learn from must be separate from what is predicted).
"""

import polars as pl
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from tablefree.data import Split, synthetic_interactions
from tablefree.data.columns import Tables, to_interactions
from tablefree.data.split import split_interactions
from tablefree.embeddings.budget import METHODS
from tablefree.embeddings.history import HistoryUsers
from tablefree.encodings import SideFeatures
from tablefree.errors import InputError
from tablefree.experiments import run as runs
from tablefree.experiments import task as tasks
from tablefree.experiments.recipes import batch_size, default_recipe
from tablefree.experiments.run import train
from tablefree.experiments.spec import USERS, Run
from tablefree.experiments.task import Task
from tablefree.training.fit import Fit

pytestmark = pytest.mark.untraced
SPLITS = ("random", "leave-last-out", "time", "cold-items", "cold-users")
NEW = 8  # ids that only held-out events can have
NUM_USERS, NUM_ITEMS = 40, 30
COLUMNS = ("user", "item", "label", "rating", "timestamp")

# Each split with each kind of user, and the methods in turn.
CASES = [
    (how, users, METHODS[(len(USERS) * s + u) % len(METHODS)])
    for s, how in enumerate(SPLITS)
    for u, users in enumerate(USERS)
]
numbers = st.integers(0, 10_000)
ROWS = st.lists(
    st.tuples(
        st.integers(0, NUM_USERS + NEW - 1),
        st.integers(0, NUM_ITEMS + NEW - 1),
        st.integers(0, 1),
        st.integers(1, 5),
        numbers,
    ),
    min_size=4,
    max_size=40,
)


def events():
    data = synthetic_interactions(500, num_users=NUM_USERS, num_items=NUM_ITEMS, seed=1)
    rng = default_rng(1)
    label, rating = rng.integers(2, size=data.num_events), rng.integers(1, 6, size=data.num_events)
    time = (data.timestamp - data.timestamp.min()) // 10**9  # in seconds
    return list(
        zip(*(a.tolist() for a in (data.user, data.item, label, rating, time)), strict=True)
    )


def features(name, count, seed):
    """A number and a category of each id; those of ids that are new depend on the seed."""
    rng, other = default_rng(0), default_rng(seed)
    amount = [*rng.normal(5, 3, count), *other.normal(50, 90, NEW)]
    kind = [*rng.choice(["a", "b", "c"], count), *other.choice(["b", "d", "e"], NEW)]
    return pl.DataFrame({name: range(count + NEW), "amount": amount, "kind": kind})


def read(rows, labelled, seed=0):
    """Events as if read from files: ids are numbered by their first event."""
    frame = pl.DataFrame(rows, schema=COLUMNS, orient="row")
    tables = Tables(
        "rows",
        frame if labelled else frame.drop("label"),
        features("user", NUM_USERS, seed),
        features("item", NUM_ITEMS, seed),
    )
    return to_interactions(tables, "rows", None)


def task_of(parts, how, labelled, seed=0):
    """A task of three lists of rows, in an order that keeps that of each part."""
    counts = [len(part) for part in parts]
    stage = default_rng(seed).permutation([n for n in range(3) for _ in range(counts[n])])
    waiting = [iter(part) for part in parts]
    split = Split(*((stage == number).nonzero()[0] for number in range(3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "split_interactions", lambda *_, **__: split)
        data = read([next(waiting[number]) for number in stage], labelled, seed)
        return Task.from_interactions(data, how)


def parts_of(how, labelled):
    rows = events()
    split = split_interactions(read(rows, labelled), how, seed=0)
    return [[rows[event] for event in part] for part in (split.train, split.validation, split.test)]


def seen(task, method, users):
    """Every byte that training sees, by name, and the validation pairs as it takes them."""
    side = "encoding" if method in ("sketch", "deep_hash") else "input"
    recipe = default_recipe(method, task.events_per_id, precision="float32")
    size = 1.0 if method == "full_table" else 6.0 if side == "encoding" else 3.0
    run = Run(method, "gmf", size, 0, 16, recipe, users=users, side_features=side)
    given = {}

    def stand_in(model, batches, validation, _recipe, **_):
        given.update(model=model, batches=batches, validation=validation)
        return Fit(1, 1, 0.5, 0.0, 0)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "fit", stand_in)
        train(run, task)
    model = given["model"]
    bytes_of = {
        f"epoch {epoch} batch {number} {name}": values
        for epoch in range(2)
        for number, batch in enumerate(given["batches"])
        for name, values in batch._asdict().items()
    }
    # Features of ids that are met later are known to the model, and have no part in its training.
    data = {name for name, module in model.named_modules() if isinstance(module, SideFeatures)}
    bytes_of |= {
        f"weight {name}": value
        for name, value in model.state_dict().items()
        if name.rpartition(".")[0] not in data
    }
    model.eval()
    for name, one in (("users", task.users), ("items", task.items)):
        count, embedding = one.num_embeddings, getattr(model, name)
        assert (one.train_counts > 0).nonzero()[0].tolist() == list(range(count))
        bytes_of |= {
            f"{name} vocabulary": one.vocabulary.ids,
            f"{name} by frequency": one.frequent_ids,
            f"{name} counts": one.train_counts[:count],
            f"{name} ids": one.ids[:count],
            f"{name} features": one.features[:count],
            f"{name} embeddings": embedding(one.keys(embedding)[:count]).detach(),
        }
    if isinstance(model.users, HistoryUsers):
        bytes_of["histories"] = model.users.history
        bytes_of["offsets"] = model.users.offsets[: task.users.num_embeddings + 1]
    bytes_of["buckets"] = task.item_bucket[: task.items.num_embeddings]
    bytes_of["candidates"] = task.train_items
    bytes_of["recipe"] = repr((recipe, batch_size(task))).encode()
    pairs = given["validation"]._asdict()
    return tuple({name: _bytes(one[name]) for name in one} for one in (bytes_of, pairs))


def _bytes(value):
    if value is None or isinstance(value, bytes):
        return value
    return (value.detach().numpy() if isinstance(value, torch.Tensor) else value).tobytes()


@pytest.mark.parametrize(("how", "users", "method"), CASES)
@pytest.mark.parametrize("labelled", [False, True], ids=["implicit", "labelled"])
def test_training_sees_the_same_whatever_is_held_out(how, users, method, labelled):
    train_part, validation, test = parts_of(how, labelled)
    training, chosen_by = seen(
        task_of((train_part, validation, test), how, labelled), method, users
    )

    @settings(max_examples=3, deadline=None, database=None)
    @given(ROWS, ROWS, numbers, st.booleans())
    def check(other_validation, other_test, seed, keeps_validation):
        held_out = (validation if keeps_validation else other_validation, other_test)
        try:
            task = task_of((train_part, *held_out), how, labelled, seed)
        except InputError:  # such as labels of one class alone
            assume(False)
        again, pairs = seen(task, method, users)
        assert [name for name in training if training[name] != again[name]] == []
        assert training.keys() == again.keys()
        if keeps_validation:
            assert chosen_by == pairs

    check()


@pytest.mark.parametrize("how", SPLITS)
def test_the_split_itself_does_not_look_at_what_is_liked(how):
    """Other partners, labels and ratings in the held-out events leave all parts as they were."""
    rows, rng = events(), default_rng(0)
    split = split_interactions(read(rows, True), how, seed=0)
    held_out = [*split.validation, *split.test]
    taken = {row[:2] for row in rows}
    for event in held_out:
        user, item, *_, time = rows[event]
        while (user, item) in taken:  # the held-out ids stay: they decide the split by ids
            by_items = how in ("leave-last-out", "cold-users")
            item = int(rng.integers(200)) if by_items else item
            user = user if by_items else int(rng.integers(200))
        taken.add((user, item))
        rows[event] = (user, item, int(rng.integers(2)), int(rng.integers(1, 6)), time)
    again = split_interactions(read(rows, True), how, seed=0)
    for name in ("train", "validation", "test"):
        assert getattr(split, name).tolist() == getattr(again, name).tolist()
