"""From a table of events and a plan to a trained model."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from tablefree.data.parser import CHUNK
from tablefree.embeddings import EmbeddingCollection
from tablefree.embeddings.feature_ids import FeatureIds
from tablefree.embeddings.jagged import Bags
from tablefree.fields.encoder import Encoder
from tablefree.fields.events import Events
from tablefree.fields.model import MODELS, Predictor
from tablefree.fields.plan import Plan
from tablefree.models.field_model import FieldModel
from tablefree.training.first_rows import start_by_id
from tablefree.training.fit import Fit, Recipe, fit
from tablefree.training.metrics import auc, evaluation
from tablefree.training.other_items import OtherItems
from tablefree.training.step import Objective

BATCH = 1_024  # events a step, from which on it grows with the data
MOST_STEPS = 2_000  # an epoch
LARGEST_BATCH = 8_192


class Encoded(NamedTuple):
    """Events as a predictor's `encoded` gives them, to be taken in batches.

    Attributes:
        features: ids by the names of the features.
        dense: scaled numbers [n, d], if there are any.
        labels: float32 [n].
    """

    features: dict[str, FeatureIds]
    dense: Tensor | None
    labels: Float[Tensor, " n"]

    def at(self, places: Int[Tensor, " m"]) -> "Encoded":
        """Some of the events, in this order."""
        features = {
            name: ids.at(places) if isinstance(ids, Bags) else ids[places]
            for name, ids in self.features.items()
        }
        dense = None if self.dense is None else self.dense[places]
        return Encoded(features, dense, self.labels[places])


class Batches(torch.utils.data.IterableDataset[Encoded]):
    """The training part in batches, in another order each epoch.

    Args:
        predictor: says how events are encoded.
        events: of the training part.
        batch_size: events a batch; those that are drawn beside them come on top.
        seed: of the order, and of what is drawn.
        others: draws beside events without a label.
    """

    def __init__(
        self,
        predictor: Predictor,
        events: Events,
        batch_size: int,
        seed: int,
        others: OtherItems | None = None,
    ) -> None:
        super().__init__()
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0
        self.each = 1 if others is None else others.each
        widths = [one.width for one in predictor.scalings]
        self._others = others and replace(others, columns=others.columns.scaled(widths))
        assert events.labels is not None
        whole = encoded(predictor, events)
        plain = {name: ids for name, ids in whole.features.items() if isinstance(ids, Tensor)}
        bags = {name: ids for name, ids in whole.features.items() if isinstance(ids, Bags)}
        # One row of memory an event, as events are picked in any order.
        self._events = Events(
            tuple(plain),
            torch.stack(list(plain.values()), 1)
            if plain
            else torch.zeros(len(events), 0, dtype=torch.int64),
            bags,
            np.zeros((len(events), 0)) if whole.dense is None else whole.dense.numpy(),
            events.labels,
            None,
            None,
        )
        self._has_dense = whole.dense is not None

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self._events) // self.batch_size)

    def __iter__(self) -> Iterator[Encoded]:
        """Iterate over the next epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        order = rng.permutation(len(self._events))
        for start in range(0, len(order), self.batch_size):
            some = self._some(order[start : start + self.batch_size], rng)
            dense = torch.from_numpy(some.numbers) if self._has_dense else None
            yield Encoded(some.features(), dense, torch.from_numpy(some.labels))

    def _some(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Events:
        if self._others is None:
            return self._events.at(rows)
        return self._others.beside(self._events, rows, rng)


def event_loss(predictor: Predictor, batch: Encoded) -> Tensor:
    """The binary cross-entropy of a batch."""
    logits = predictor(batch.features, batch.dense)
    with torch.autocast(logits.device.type, enabled=False):
        return F.binary_cross_entropy_with_logits(logits.float(), batch.labels)


def event_auc(predictor: Predictor, batch: Encoded) -> float:
    """The AUC of all events of a part, in evaluation mode, some at a time."""
    places = torch.split(torch.arange(len(batch.labels)), CHUNK)
    with evaluation(predictor):
        some = [batch.at(part) for part in places]
        logits = [predictor(one.features, one.dense) for one in some]
    return auc(torch.cat(logits), batch.labels)


def event_work(predictor: Predictor, batches: Batches) -> int:
    """Multiply-adds of a step."""
    assert isinstance(predictor.model, FieldModel)
    embeddings = predictor.model.embeddings
    of_embeddings = {id(one) for one in embeddings.parameters()}
    others = sum(one.numel() for one in predictor.parameters() if id(one) not in of_embeddings)
    of_event = embeddings.describe().multiply_adds + others
    return batches.batch_size * batches.each * of_event


OBJECTIVE = Objective(event_loss, event_auc, event_work)
"""To score events."""


def train_events(
    plan: Plan,
    train: Events,
    validation: Events,
    recipe: Recipe,
    *,
    model: str = "dlrm",
    seed: int = 0,
    others: OtherItems | None = None,
    **options: object,
) -> tuple[Predictor, Fit]:
    """Train a model on the training part of events, to the epoch that is best in validation.

    Vocabularies and scalings know the training part alone.

    Args:
        plan: of the embeddings.
        train: the training part.
        validation: with labels.
        recipe: of the training.
        model: of `MODELS`.
        seed: of the weights, the order of events and what is drawn.
        others: draws beside the events of the training part, where they have no label.
        options: of `fit`.
    """
    predictor = new_predictor(plan, train, model=model, seed=seed)
    size = recipe.batch_size or batch_size(len(train))
    batches = Batches(predictor, train, size, seed, others)
    found = fit(
        predictor,
        batches,
        encoded(predictor, validation),
        recipe,
        objective=OBJECTIVE,
        **options,  # type: ignore[arg-type]
    )
    return predictor.eval(), found


def new_predictor(plan: Plan, train: Events, *, model: str, seed: int) -> Predictor:
    """An untrained model, with the vocabularies and scalings of the training part."""
    encoder = Encoder.fit(plan, train)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        embeddings = EmbeddingCollection(plan.config(encoder.sizes))
        start_by_id(embeddings, encoder, seed)
        # Whatever the embeddings are, the network over them starts the same: what it starts from
        # can matter more than they do.
        torch.manual_seed(seed)
        scorer = MODELS[model](embeddings, encoder.num_dense)
    return Predictor(scorer, encoder.columns, encoder.scalings, encoder.vocabularies())


def encoded(predictor: Predictor, events: Events) -> Encoded:
    """Events as the model takes them."""
    assert events.labels is not None
    device = next(predictor.parameters()).device
    return Encoded(*predictor.encoded(events, device), torch.from_numpy(events.labels))


def batch_size(num_events: int) -> int:
    """Events a step: as few as make no more than `MOST_STEPS` an epoch."""
    size = BATCH
    while size < LARGEST_BATCH and num_events > size * MOST_STEPS:
        size *= 2
    return size
