"""A trained model of many columns with all that it needs to score the rows of another table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from tablefree.data.parser import CHUNK
from tablefree.embeddings.feature_ids import FeatureIds
from tablefree.embeddings.jagged import Bags
from tablefree.errors import InputError
from tablefree.fields.events import Events, event_batches, regrouped
from tablefree.fields.kinds import Column
from tablefree.fields.scaling import Scaling
from tablefree.fields.table import Table
from tablefree.models import DCN, DLRM, DeepFM
from tablefree.models.field_model import FieldModel
from tablefree.pretrained import Pretrained

MODELS: dict[str, type[FieldModel]] = {"dlrm": DLRM, "deepfm": DeepFM, "dcn": DCN}
INPUT_KINDS = ("categorical", "bag", "numeric", "date", "time", "group")


class Predictor(Pretrained):
    """Scores rows of a table as it comes: reads columns, scales numbers, embeds, scores.

    Args:
        model: over the features of the columns.
        columns: what each column is taken for; the label may be among them.
        scalings: of the numeric columns, in their order, fitted on the training part.
        vocabularies: for each feature with a table the distinct ids [n] that its rows are of,
            ascending; other ids have its last row.

    Raises:
        InputError: columns that the model does not have.
    """

    def __init__(
        self,
        model: FieldModel,
        columns: Sequence[Column],
        scalings: Sequence[Scaling],
        vocabularies: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        self.model, self.columns = model, list(columns)
        self.scalings = list(scalings)
        self._numbered = list(vocabularies)
        for number, ids in enumerate(vocabularies.values()):
            self.register_buffer(f"vocabulary_{number}", ids)

    @property
    def inputs(self) -> list[Column]:
        """The columns that a row to be scored has."""
        return [one for one in self.columns if one.kind in INPUT_KINDS]

    @property
    def vocabulary_bytes(self) -> int:
        """Of the ids that tables need to find their rows."""
        return sum(one.nbytes for one in self._vocabularies().values())

    def forward(
        self, features: Mapping[str, FeatureIds], dense: Tensor | None = None
    ) -> Float[Tensor, " n"]:
        """Logits of what `encoded` gives."""
        logits: Tensor = self.model(features, dense)
        return logits

    def encoded(self, events: Events) -> tuple[dict[str, FeatureIds], Tensor | None]:
        """The ids of features, of tables the positions of their rows, and scaled numbers [n, d].

        On the device of the model.
        """
        device = next(self.parameters()).device
        features = {name: ids.to(device) for name, ids in events.features().items()}
        for name, known in self._vocabularies().items():
            ids = features[name]
            if isinstance(ids, Bags):
                features[name] = Bags(_positions(known, ids.ids), ids.offsets)
            else:
                features[name] = _positions(known, ids)
        numbers = scaled(events, self.scalings)
        return features, None if numbers is None else numbers.to(device)

    def logits(self, events: Events, batch: int = CHUNK) -> Float[Tensor, " n"]:
        """Scores of events on the CPU, in evaluation mode; the mode is restored."""
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                rows = np.arange(len(events))
                parts = [rows[start : start + batch] for start in range(0, len(rows), batch)]
                found = [self(*self.encoded(events.at(part))).cpu() for part in parts]
        finally:
            self.train(was_training)
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
        table = Table.of(data)
        missing = [one.name for one in self.inputs if one.name not in table.columns]
        if missing:
            raise InputError(
                f"{table.name} lacks the column(s) {', '.join(map(repr, missing))}, on which the "
                "model was trained: add them, with nulls where nothing is known"
            )
        # In batches of one size, for the last bits of a product of matrices depend on its size.
        for events in regrouped(event_batches(table, self.inputs), CHUNK):
            probabilities: NDArray[np.float32] = self.logits(events).sigmoid().numpy()
            yield probabilities

    def saved_config(self) -> dict[str, object]:
        """What `config.json` says of the model."""
        name = next(name for name, kind in MODELS.items() if type(self.model) is kind)
        sizes = {key: len(ids) for key, ids in self._vocabularies().items()}
        return {
            "model": {"name": name, **self.model.saved_config()},
            "columns": [asdict(one) for one in self.columns],
            "scalings": [one.config() for one in self.scalings],
            "vocabularies": sizes,
        }

    @classmethod
    def from_saved_config(cls, config: Mapping[str, Any]) -> Self:
        """A model of the same shape, columns and scalings."""
        of_model = dict(config["model"])
        model = MODELS[of_model.pop("name")].from_saved_config(of_model)
        return cls(
            model,
            [Column(**one) for one in config["columns"]],
            [Scaling.from_config(one) for one in config["scalings"]],
            {
                name: torch.zeros(size, dtype=torch.int64)
                for name, size in config["vocabularies"].items()
            },
        )

    def _vocabularies(self) -> dict[str, Tensor]:
        return {
            name: getattr(self, f"vocabulary_{number}")
            for number, name in enumerate(self._numbered)
        }


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
    return Predictor.from_pretrained(folder, mapped=mapped)


def scaled(events: Events, scalings: Sequence[Scaling]) -> Tensor | None:
    """The numbers of events as the model takes them; None without any."""
    if not scalings:
        return None
    columns = [scale(events.numbers[:, at]) for at, scale in enumerate(scalings)]
    return torch.cat(columns, dim=1)


def _positions(known: Tensor, ids: Tensor) -> Tensor:
    """Where ids are in an ascending vocabulary; its length for those that are not."""
    if not len(known):
        return torch.zeros_like(ids)
    places = torch.searchsorted(known, ids.contiguous())
    found = known[places.clamp(max=len(known) - 1)] == ids
    return torch.where(found, places, len(known))
