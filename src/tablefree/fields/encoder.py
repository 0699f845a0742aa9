"""Rows of a table as a model of any kind takes them: ids of features, and numbers of about one."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from tablefree.embeddings.feature_ids import FeatureIds, flat_ids, naming
from tablefree.embeddings.jagged import Bags
from tablefree.errors import InputError
from tablefree.fields.events import Events, feature_names, read_events
from tablefree.fields.kinds import Column
from tablefree.fields.plan import Plan
from tablefree.fields.scaling import Scaling
from tablefree.fields.table import Table
from tablefree.ids import ids_and_type

INPUT_KINDS = ("categorical", "bag", "numeric", "date", "time", "group")


class Encoder(nn.Module):
    """Reads rows, finds the ids of their features and scales their numbers.

    What an `EmbeddingCollection` of a plan takes, for a model of your own; `tablefree train` makes
    one of its own.

    Args:
        columns: what each column is taken for; the label may be among them.
        scalings: of the numeric columns, in their order.
        vocabularies: for each feature with a table the distinct ids [n] that its rows are of,
            ascending; other ids have its last row.

    Example:
        >>> import polars
        >>> from tablefree import Encoder, EmbeddingCollection, plan
        >>> frame = polars.DataFrame({"city": ["a", "b"] * 8, "price": [0.5, 2.5, 1.0, 7.0] * 4})
        >>> planned = plan(frame, method="full_table", embedding_dim=4)
        >>> encoder = Encoder.fit(planned, frame)
        >>> embeddings = EmbeddingCollection(planned.config(encoder.sizes))
        >>> ids, numbers = encoder.encode(frame)
        >>> embeddings(ids)["city"].shape, numbers.shape
        (torch.Size([16, 4]), torch.Size([16, 1]))
    """

    def __init__(
        self,
        columns: Sequence[Column],
        scalings: Sequence[Scaling],
        vocabularies: Mapping[str, Tensor],
    ) -> None:
        super().__init__()
        self.columns, self.scalings = list(columns), list(scalings)
        self._numbered = list(vocabularies)
        for number, ids in enumerate(vocabularies.values()):
            self.register_buffer(f"vocabulary_{number}", ids)

    @classmethod
    def fit(cls, plan: Plan, data: Any) -> "Encoder":
        """What the rows of training say: the vocabularies of tables and the scales of numbers.

        Args:
            plan: of the embeddings.
            data: a path or a frame with the columns of the plan, or `Events`; of the training part
                alone, or the rows that a model is tested on are known to it.

        Raises:
            InputError: a column that is missing, or has values that are not exactly of its type.
        """
        columns = [one for one in plan.columns if one.kind in INPUT_KINDS]
        events = data if isinstance(data, Events) else read_events(Table.of(data), columns)
        features = events.features()
        vocabularies = {
            field.name: torch.unique(flat_ids(features[field.name]))
            for field in plan.fields
            if field.method == "full_table"
        }
        numbers = events.numbers.T
        return Encoder(plan.columns, [Scaling.fit(one) for one in numbers], vocabularies)

    @property
    def inputs(self) -> list[Column]:
        """The columns that a row has which is to be encoded."""
        return [one for one in self.columns if one.kind in INPUT_KINDS]

    @property
    def features(self) -> list[str]:
        """The names of what is embedded: columns, and periods of dates, as "time:hour"."""
        return feature_names(self.columns)

    @property
    def num_dense(self) -> int:
        """Numbers of a row, flags of missing ones among them."""
        return sum(one.width for one in self.scalings)

    @property
    def sizes(self) -> dict[str, int]:
        """How many ids the vocabulary of each feature has, as `Plan.config` takes them."""
        return {name: len(ids) for name, ids in self.vocabularies().items()}

    @property
    def vocabulary_bytes(self) -> int:
        """Of the ids that tables need to find their rows."""
        return sum(one.nbytes for one in self.vocabularies().values())

    def vocabularies(self) -> dict[str, Tensor]:
        """The distinct ids [n] of each feature with a table, ascending."""
        return {
            name: getattr(self, f"vocabulary_{number}")
            for number, name in enumerate(self._numbered)
        }

    def encode(self, data: Any) -> tuple[dict[str, FeatureIds], Tensor | None]:
        """All rows of a table: what `encoded` gives of them, on the CPU.

        Args:
            data: a path, or a frame of pandas, Polars or Arrow, with the columns of training; the
                label is not needed, and other columns do not count.

        Raises:
            InputError: a column that is missing, or has values that are not exactly of its type.
        """
        return self.encoded(read_events(self.table_of(data), self.inputs))

    def encoded(
        self, events: Events, device: torch.device | None = None
    ) -> tuple[dict[str, FeatureIds], Tensor | None]:
        """The ids of features, of tables the positions of their rows, and scaled numbers [n, d].

        Args:
            events: rows that are read.
            device: of the vocabularies, and of what is returned; the CPU by default.
        """
        features: dict[str, FeatureIds] = {}
        for name, ids in events.features().items():
            if isinstance(ids, Bags):
                bags = ids if device is None else ids.to(device)
                features[name] = Bags(self.keys(name, bags.ids), bags.offsets)
            else:
                features[name] = self.keys(name, ids if device is None else ids.to(device))
        if not self.scalings:
            return features, None
        scaled = [scale(events.numbers[:, at]) for at, scale in enumerate(self.scalings)]
        return features, torch.cat(scaled, dim=1).to(device)

    def keys(self, feature: str, ids: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """What the embedding of a feature takes for ids: themselves, or the positions of rows.

        Of a table the last row is of ids that training has not, see `is_known`.
        """
        known = self.vocabularies().get(feature)
        return ids if known is None else _positions(known, ids)

    def is_known(self, feature: str, ids: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Whether training had ids; without a vocabulary nobody can tell, and all are known."""
        known = self.vocabularies().get(feature)
        return torch.ones_like(ids, dtype=torch.bool) if known is None else torch.isin(ids, known)

    def ids(self, feature: str, values: Any) -> Int[Tensor, " n"]:
        """The ids of values of a feature.

        Args:
            feature: one of `features`.
            values: a list, an array or a series of values, 0 and 1 of booleans; or ids, a tensor.

        Raises:
            InputError: another feature, or values of another type than in training.
        """
        if feature not in self.features:
            known = ", ".join(map(repr, self.features))
            raise InputError(f"the model has no feature {feature!r} to embed: it has {known}")
        kind = next((one.type for one in self.columns if one.name == feature), "integer")
        with naming(feature):
            ids, found = ids_and_type(values)
            ids = ids.flatten()
        wanted = "string" if kind == "string" else "integer"
        if found not in (None, wanted):
            raise InputError(
                f"feature {feature!r} was trained on ids of type {wanted}, and these are of type "
                f"{found}, of which none is equal: convert them"
            )
        return ids

    def table_of(self, data: Any) -> Table:
        """The table in a path or a frame, once it has all columns.

        Raises:
            InputError: it lacks one, or what `Table.of` raises.
        """
        table = Table.of(data)
        missing = [one.name for one in self.inputs if one.name not in table.columns]
        if missing:
            raise InputError(
                f"{table.name} lacks the column(s) {', '.join(map(repr, missing))}, on which the "
                "model was trained: add them, with nulls where nothing is known"
            )
        return table


def _positions(known: Tensor, ids: Tensor) -> Tensor:
    """Where ids are in an ascending vocabulary; its length for those that are not."""
    if not len(known):  # a table has a row for one, and the last
        return torch.ones_like(ids)
    places = torch.searchsorted(known, ids.contiguous())
    found = known[places.clamp(max=len(known) - 1)] == ids
    return torch.where(found, places, len(known))
