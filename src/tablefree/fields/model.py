"""A trained model of many columns with all that it needs to score the rows of another table."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from tablefree.data.parser import CHUNK
from tablefree.embeddings import Embedding
from tablefree.embeddings.feature_ids import FeatureIds
from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import CheckpointError, InputError
from tablefree.fields.encoder import Encoder
from tablefree.fields.events import Events, event_batches, regrouped
from tablefree.fields.kinds import Column
from tablefree.fields.scaling import Scaling
from tablefree.models import DCN, DLRM, DeepFM, Recommender
from tablefree.models import MODELS as RECOMMENDERS
from tablefree.models.field_model import FieldModel
from tablefree.pretrained import Pretrained

MODELS: dict[str, type[FieldModel]] = {"dlrm": DLRM, "deepfm": DeepFM, "dcn": DCN}
_ALL: dict[str, type[FieldModel] | type[Recommender]] = {**MODELS, **RECOMMENDERS}
EMBEDDED = 8_192  # ids at a time: bounds the memory of hidden layers


class Predictor(Encoder, Pretrained):
    """Scores rows of a table as it comes: reads columns, scales numbers, embeds, scores.

    Args:
        model: over the features of the columns; a recommender over two, the user and the item.
        columns: as of every `Encoder`, as all that follow.
        scalings: fitted on the training part.
        vocabularies: of the training part.

    Raises:
        InputError: columns that the model does not have.
    """

    def __init__(
        self,
        model: FieldModel | Recommender,
        columns: Sequence[Column],
        scalings: Sequence[Scaling],
        vocabularies: Mapping[str, Tensor],
    ) -> None:
        super().__init__(columns, scalings, vocabularies)
        self.model = model

    @property
    def embeddings(self) -> nn.Module:
        """Those of the features, without what scores them."""
        if isinstance(self.model, Recommender):
            return nn.ModuleList([self.model.users, self.model.items])
        return self.model.embeddings

    def forward(
        self, features: Mapping[str, FeatureIds], dense: Tensor | None = None
    ) -> Float[Tensor, " n"]:
        """Logits of what `encoded` gives.

        Raises:
            InputError: the users of the model are histories.
        """
        logits: Tensor
        if isinstance(self.model, Recommender):
            users, items = (features[name] for name in self.features)
            _check_users(self.model.users)
            logits = self.model(users, items)
        else:
            logits = self.model(features, dense)
        return logits

    def embed(self, feature: str, values: Any) -> Float[Tensor, "n embedding_dim"]:
        """The embeddings of values of a feature, in evaluation mode.

        Args:
            feature: one of `features`.
            values: n of them, see `ids`. A value that training has not, or that is not in a packed
                column, has what the method gives to such.

        Raises:
            InputError: as `ids`; users that are histories, which no id tells.

        Example:
            >>> tablefree.load("checkpoints/ctr").embed("ad_id", ["a17", "b4"])  # doctest: +SKIP
        """
        keys = self.keys(feature, self.ids(feature, values).to(self._device))
        with self._in_evaluation():
            found = [self._embedded(feature, some) for some in torch.split(keys, EMBEDDED)]
        return torch.cat(found)

    def logits(self, events: Events, batch: int = CHUNK) -> Float[Tensor, " n"]:
        """Scores of events on the CPU, in evaluation mode; the mode is restored."""
        rows = np.arange(len(events))
        parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
        with self._in_evaluation():
            found = [self(*self.encoded(events.at(part), self._device)).cpu() for part in parts]
        return torch.cat(found) if found else torch.zeros(0)

    def predict(self, data: Any) -> NDArray[np.float32]:
        """The probability of the label 1 for each row.

        Args:
            data: a path, or a frame of pandas, Polars or Arrow, with the columns of training; the
                label is not needed, and other columns do not count.

        Raises:
            InputError: a column that is missing, or has values that are not exactly of its type.
        """
        found = list(self.predictions(data))
        return np.concatenate(found) if found else np.zeros(0, np.float32)

    def predictions(self, data: Any) -> Iterator[NDArray[np.float32]]:
        """What `predict` gives, a batch of rows at a time: memory stays bounded."""
        table = self.table_of(data)
        # In batches of one size, for the last bits of a product of matrices depend on its size.
        for events in regrouped(event_batches(table, self.inputs), CHUNK):
            probabilities: NDArray[np.float32] = self.logits(events).sigmoid().numpy()
            yield probabilities

    def saved_config(self) -> dict[str, object]:
        """What `config.json` says of the model."""
        name = next(name for name, kind in _ALL.items() if type(self.model) is kind)
        return {
            "model": {"name": name, **self.model.saved_config()},
            "columns": [asdict(one) for one in self.columns],
            "scalings": [one.config() for one in self.scalings],
            "vocabularies": self.sizes,
        }

    @classmethod
    def from_saved_config(cls, config: Mapping[str, Any]) -> Self:
        """A model of the same shape, columns and scalings."""
        of_model = dict(config["model"])
        model = _ALL[of_model.pop("name")].from_saved_config(of_model)
        return cls(
            model,
            [Column(**one) for one in config["columns"]],
            [Scaling.from_config(one) for one in config["scalings"]],
            {
                name: torch.zeros(size, dtype=torch.int64)
                for name, size in config["vocabularies"].items()
            },
        )

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device

    def _embedded(self, feature: str, keys: Int[Tensor, " n"]) -> Float[Tensor, "n embedding_dim"]:
        if not isinstance(self.model, Recommender):
            return self.model.embeddings.embed(feature, keys)
        sides = dict(zip(self.features, (self.model.users, self.model.items), strict=True))
        _check_users(sides[feature])
        embeddings: Tensor = sides[feature](keys)
        return embeddings

    @contextmanager
    def _in_evaluation(self) -> Iterator[None]:
        """Evaluation mode without gradients; the mode is restored."""
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(was_training)


def load(folder: str | Path, *, mapped: bool = False) -> Predictor:
    """The model that `tablefree train` wrote into a folder, in evaluation mode.

    Args:
        folder: of the model.
        mapped: whether large tensors stay in the file (see `Pretrained.from_pretrained`).

    Raises:
        CheckpointError: there is none, or it is damaged.

    Example:
        >>> tablefree.load("checkpoints/clicks").predict("new.parquet")  # doctest: +SKIP
    """
    predictor = Predictor.from_pretrained(folder, mapped=mapped)
    for name, ids in predictor.vocabularies().items():
        if not bool((ids[1:] > ids[:-1]).all()):
            raise CheckpointError(
                f"the vocabulary of {name!r} in {folder} is not in order, or has an id twice: it "
                "is damaged; restore or train the checkpoint again"
            )
    return predictor


def _check_users(embedding: Embedding) -> None:
    if isinstance(embedding, HistoryUsers):
        raise InputError(
            "the users of this model are histories, which no id tells: embed the items, or use "
            "HistoryUsers.embed_bags"
        )
