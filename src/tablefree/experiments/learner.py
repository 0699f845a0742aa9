"""A recommender that goes on learning when its training is over, as ids appear.

Every contender goes on alike, so that what differs is the embedding. Users can be histories of
items, or items histories of users: items take the place of users within the model then.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch.optim.lr_scheduler import LinearLR

from tablefree.data import Interactions, NegativeSampler, Split, Vocabulary
from tablefree.embeddings import FullTable, NarrowTable
from tablefree.embeddings.base import table
from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import InputError
from tablefree.experiments.evaluation import batch_of
from tablefree.experiments.recipes import STEPS_PER_EPOCH, batch_size, default_recipe
from tablefree.experiments.run import tell_histories
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Ints, Pairs, Task
from tablefree.training.batches import Batch, Negatives, TrainingBatches
from tablefree.training.fit import Fit, fit
from tablefree.training.metrics import auc, score_pairs
from tablefree.training.optimizers import build_optimizers
from tablefree.training.step import pair_loss, take_step

# When a training goes on, events are few, and at full rates old ids are forgotten.
SMALL_BATCH = 256
RATE = 0.3  # of the first training's


@dataclass(frozen=True)
class Contender:
    """What ids are embedded by.

    Attributes:
        name: in the results.
        method: of the embeddings.
        history: "user" or "item", where these are the bags of what they did; None for ids.
        has_features: whether the features that the data has go beside the code.
    """

    name: str
    method: str
    history: str | None = None
    has_features: bool = False

    def run(
        self,
        events_per_id: float,
        steps: float = STEPS_PER_EPOCH,
        *,
        size: float,
        seed: int,
        embedding_dim: int,
        max_epochs: int | None,
    ) -> Run:
        """What is trained first, with the default recipe; a full table has size 1."""
        return Run(
            self.method,
            "gmf",
            1.0 if self.method == "full_table" else size,
            seed,
            embedding_dim,
            default_recipe(
                self.method, events_per_id, steps_per_epoch=steps, max_epochs=max_epochs
            ),
            users="id" if self.history is None else "history",
            side_features="encoding" if self.has_features else "none",
        )

    def places(self, task: Task) -> Task:
        """The task with users and items in the places that they have in the model."""
        return transposed(task) if self.history == "item" else task


CONTENDERS = (
    Contender("full_table", "full_table"),
    Contender("narrow_table", "narrow_table"),
    Contender("hashing_trick", "hashing_trick"),
    Contender("deep_hash", "deep_hash"),
    Contender("sketch", "sketch"),
    Contender("sketch_with_features", "sketch", has_features=True),
    Contender("user_history", "sketch", history="user"),
    Contender("item_history", "sketch", history="item"),
)


class Learner:
    """A model of a contender, and the events that it knows.

    Args:
        contender: what ids are embedded by.
        run: how the model is built and trained, as `Contender.run` makes it.
        task: without labels; its training part is known, and learned first.

    Attributes:
        model: the recommender; with items as histories, these are its users.
        model_task: the task, with users and items in the places that they have in the model.

    Raises:
        InputError: as `Run.build_model`.
    """

    def __init__(self, contender: Contender, run: Run, task: Task) -> None:
        self.contender, self.run = contender, run
        self._set_task(task)
        self.model = run.build_model(self.model_task)
        self._tell()

    def learn(self) -> Fit:
        """Train on the training part, and keep the epoch that is best in validation."""
        batches = _Batches(self, self.task.split.train, batch_size(self.task))
        try:
            result = fit(self.model, batches, self.batch(self.task.validation), self.run.recipe)
        except SystemExit as stop:  # what Lightning makes of an interrupt
            raise KeyboardInterrupt from stop
        self.model.cpu()
        return result

    def meet(self, task: Task) -> Self:
        """A copy that knows the training part of a later task, without having learned from it.

        Tables get a row for each new id, which starts as any row does; histories get new events.

        Args:
            task: of the same interactions; its training part holds the present one.
        """
        other = copy.copy(self)
        other._set_task(task)
        other.model = copy.deepcopy(self.model)
        for name in ("users", "items"):
            embedding = getattr(self.model, name)
            if isinstance(embedding, FullTable | NarrowTable):
                before, after = (getattr(one.model_task, name).vocabulary for one in (self, other))
                setattr(other.model, name, _with_rows(embedding, before, after, self.run.seed))
        other._tell()
        return other

    def go_on(self, events: Ints, *, passes: int) -> None:
        """Learn from events that are known, in batches of `SMALL_BATCH`, with fresh optimizers.

        All is float32. Rates start at `RATE` times the first training's and fall linearly to zero.
        Nothing decays: decay holds the balance of many passes over all ids, and would shrink what
        does not occur in a few.

        Args:
            events: their positions.
            passes: over them.
        """
        recipe, model = self.run.recipe, self.model
        batches = _Batches(self, events, SMALL_BATCH)
        optimizers = build_optimizers(
            model,
            recipe.optimizer,
            learning_rate=RATE * recipe.learning_rate,
            network_learning_rate=RATE * (recipe.network_learning_rate or recipe.learning_rate),
            weight_decay=0.0,
            network_weight_decay=0.0,
        )
        schedules = [LinearLR(one, 1.0, 0.0, passes * len(batches)) for one in optimizers]
        model.train()
        for batch in (batch for _ in range(passes) for batch in batches):
            take_step(pair_loss(model, batch), optimizers, schedules)

    def auc(self, pairs: Pairs) -> float:
        """How well the positives are told from the negatives; NaN where either are missing."""
        batch = self.batch(pairs)
        return auc(score_pairs(self.model, batch.users, batch.items), batch.labels)

    def batch(self, pairs: Pairs, rng: np.random.Generator | None = None) -> Batch:
        """Pairs as the model takes them.

        Args:
            pairs: positions.
            rng: in training, draws what histories do without (see `Histories.left_out`).
        """
        users, items, labels = pairs
        if self.contender.history == "item":
            users, items = items, users
        left_out = None
        if rng is not None and isinstance(self.model.users, HistoryUsers):
            left_out = torch.from_numpy(self.model_task.histories.left_out(users, items, rng))
        batch = batch_of(Pairs(users, items, labels), self._user_keys, self._item_keys)
        return batch._replace(left_out=left_out)

    def _set_task(self, task: Task) -> None:
        self.task = task
        self.model_task = self.contender.places(task)

    def _tell(self) -> None:
        """Tell the model what the training part holds."""
        task, users = self.model_task, self.model.users
        self._user_keys, self._item_keys = task.users.keys(users), task.items.keys(self.model.items)
        if isinstance(users, HistoryUsers):
            tell_histories(users, task, self._item_keys, self._user_keys)


class _Batches(TrainingBatches):
    """Training batches as a learner's model takes them."""

    def __init__(self, learner: Learner, events: Ints, size: int) -> None:
        task = learner.task
        data = task.interactions
        super().__init__(
            data.user[events],
            data.item[events],
            None,
            user_keys=torch.arange(data.num_users),
            item_keys=torch.arange(data.num_items),
            negatives=Negatives(task.train_sampler, task.train_items),
            batch_size=size,
            seed=learner.run.seed,
        )
        self.learner = learner

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng([self.seed, self.epoch, 1])
        for users, items, labels, _ in super().__iter__():
            yield self.learner.batch(Pairs(users.numpy(), items.numpy(), labels.numpy()), rng)


def distinct_positives(interactions: Interactions) -> Interactions:
    """The positives alone, without labels; of those of one pair the first, by time if there is one.

    Raises:
        InputError: there is none.
    """
    data = interactions
    events = np.arange(data.num_events)
    if data.timestamp is not None:
        events = np.argsort(data.timestamp, kind="stable")
    if data.label is not None:
        events = events[data.label[events] > 0]
    if not len(events):
        raise InputError(f"{data.name} has no positives: check the label or the rating column")
    _, first = np.unique(data.user[events] * data.num_items + data.item[events], return_index=True)
    events = events[np.sort(first)]
    return replace(
        data,
        user=data.user[events],
        item=data.item[events],
        label=None,
        rating=None if data.rating is None else data.rating[events],
        timestamp=None if data.timestamp is None else data.timestamp[events],
    )


def split_at_random(events: Ints, rng: np.random.Generator) -> Split:
    """85 % of the events for training, 5 % for validation, 10 % for test."""
    order = rng.permutation(events)
    validation, test = round(0.05 * len(order)), round(0.1 * len(order))
    return Split(
        train=np.sort(order[validation + test :]),
        validation=np.sort(order[:validation]),
        test=np.sort(order[validation : validation + test]),
    )


def with_events(task: Task, events: Ints) -> Task:
    """A task that has more events in its training part."""
    train = np.sort(np.concatenate([task.split.train, events]))
    return Task(task.interactions, task.how, replace(task.split, train=train))


def with_negatives(
    data: Interactions,
    events: Ints,
    candidates: Ints,
    rng: np.random.Generator,
    *,
    differ_in: str = "item",
) -> Pairs:
    """Events, and for each a pair with another item (or another user) that did not occur.

    Events of a user (or an item) that occurs with every candidate are left out.

    Args:
        data: distinct positives.
        events: int64 `[n]`, positions.
        candidates: int64 `[m]`, the items (or users) to draw from.
        rng: source of randomness; the result is a function of its state.
        differ_in: "item" or "user".
    """
    ids, partners = (data.item, data.user) if differ_in == "item" else (data.user, data.item)
    counts = np.bincount(partners[np.isin(ids, candidates)], minlength=int(partners.max()) + 1)
    events = events[counts[partners[events]] < len(candidates)]
    sampler = NegativeSampler(partners, ids, int(partners.max()) + 1, int(ids.max()) + 1)
    others = sampler.sample(partners[events], rng, candidates) if len(events) else events
    ids, partners = np.concatenate([ids[events], others]), np.tile(partners[events], 2)
    users, items = (partners, ids) if differ_in == "item" else (ids, partners)
    return Pairs(users, items, np.repeat(np.array([1, 0], np.float32), len(events)))


def transposed(task: Task) -> Task:
    """The same events with users in the place of items, and items in that of users."""
    data = task.interactions
    swapped = replace(
        data,
        user=data.item,
        item=data.user,
        user_ids=data.item_ids,
        item_ids=data.user_ids,
        user_features=data.item_features,
        item_features=data.user_features,
        user_id_type=data.item_id_type,
        item_id_type=data.user_id_type,
    )
    return Task(swapped, task.how, task.split)


def _with_rows(
    embedding: FullTable | NarrowTable, before: Vocabulary, after: Vocabulary, seed: int
) -> FullTable | NarrowTable:
    """A copy of a table with a row for each id of a larger vocabulary."""
    grown = copy.deepcopy(embedding)
    old = embedding.rows.weight.detach()
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        grown.rows = table(len(after) + 1, old.shape[1])
    places = torch.from_numpy(after.lookup(before.ids))
    with torch.no_grad():
        grown.rows.weight[places] = old[:-1]
        grown.rows.weight[-1] = old[-1]  # of unknown ids
    grown.num_embeddings = len(after)
    return grown
