"""What a feature of a collection does with an embedding: its own or another's, pooled or padded."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from torch import Tensor

from tablefree.embeddings.feature_ids import FeatureIds, flat_ids, naming, shaped_as
from tablefree.embeddings.jagged import Bags, checked_pooling
from tablefree.errors import InputError
from tablefree.ids import ID_TYPES, IdType, to_ids

_OPTIONS = ("shared_with", "pooling", "padding_idx", "seed")


@dataclass(frozen=True)
class Feature:
    """How a feature uses an embedding.

    Attributes:
        owner: the feature whose embedding this one has: often itself.
        pooling: how bags of ids become one embedding, if they are bags.
        padding_idx: an id that counts as absent.
        seed: what tells ids from equal ones of the owner, if they differ.
    """

    owner: str
    pooling: str | None = None
    padding_idx: int | None = None
    seed: int | str | None = None

    @classmethod
    def of(cls, name: str, config: Mapping[str, Any], owners: Collection[str]) -> Self:
        """The feature of a configuration.

        Args:
            name: of the feature.
            config: "shared_with" and "seed", or those of an embedding; "pooling", "padding_idx".
            owners: the features with an embedding of their own.

        Raises:
            InputError: an owner that is none, another pooling, a padding that is no id, or options
                that do not go together.
        """
        pooling, padding_idx = config.get("pooling"), config.get("padding_idx")
        with naming(name):
            if pooling is not None:
                checked_pooling(pooling)
            if padding_idx is not None:
                padding_idx = int(to_ids(padding_idx))
            if name in owners:
                return cls(name, pooling, padding_idx)
            owner, seed = config["shared_with"], config.get("seed")
            if owner not in owners:
                raise InputError(
                    f"it is shared_with {owner!r}, which must be a feature with an embedding of "
                    f"its own: {', '.join(map(repr, owners)) or 'there is none'}"
                )
            others = [repr(key) for key in config if key not in _OPTIONS]
            if others:
                raise InputError(
                    f"it is shared_with {owner!r}, beside which it can have a pooling, a "
                    f"padding_idx and a seed alone; got {', '.join(others)}"
                )
            if seed is not None:
                to_ids(seed)  # refuses what is no seed
            return cls(owner, pooling, padding_idx, seed)

    def config(self, name: str, of_embedding: Mapping[str, object]) -> dict[str, object]:
        """The configuration again, given that of the owner's embedding."""
        is_own = self.owner == name
        config: dict[str, object] = dict(of_embedding) if is_own else {"shared_with": self.owner}
        for option in ("seed", "pooling", "padding_idx"):
            if getattr(self, option) is not None:
                config[option] = getattr(self, option)
        return config

    def without_padding(self, ids: FeatureIds) -> FeatureIds:
        """The ids that are looked up: bags without the padding, or flat ids without it."""
        if self.padding_idx is None:
            return ids
        if self.pooling is not None:
            return cast(Bags, ids).without(self.padding_idx)
        flat = flat_ids(ids)
        return flat[flat != self.padding_idx]

    def with_padding(self, embeddings: Tensor, ids: FeatureIds) -> Tensor:
        """Embeddings of what is looked up in the form of `ids`, with zeros for the padding."""
        if self.padding_idx is None or self.pooling is not None:
            return embeddings
        is_present = flat_ids(ids) != self.padding_idx
        padded = embeddings.new_zeros(is_present.shape[0], embeddings.shape[-1])
        return shaped_as(ids, padded.masked_scatter(is_present[:, None], embeddings))

    def owner_ids(self, ids: Tensor) -> Tensor:
        """The ids as the owner's embedding takes them."""
        return ids if self.seed is None else ids ^ to_ids(self.seed).to(ids.device)


def id_type(name: str, config: Mapping[str, Any]) -> IdType:
    """The "id_type" of a configuration that has one.

    Raises:
        InputError: it is none.
    """
    found = config["id_type"]
    if found not in ID_TYPES:
        raise InputError(
            f"feature {name!r}: its id_type must be {' or '.join(ID_TYPES)}, got {found!r}"
        )
    return cast(IdType, found)
