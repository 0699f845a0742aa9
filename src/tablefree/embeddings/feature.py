"""What a feature of a collection does with an embedding: its own or another's, pooled or not."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor

from tablefree.embeddings.feature_ids import naming
from tablefree.embeddings.jagged import checked_pooling
from tablefree.errors import InputError
from tablefree.ids import to_ids

_OPTIONS = ("shared_with", "pooling", "seed")


@dataclass(frozen=True)
class Feature:
    """How a feature uses an embedding.

    Attributes:
        owner: the feature whose embedding this one has: often itself.
        pooling: how bags of ids become one embedding, if they are bags.
        seed: what tells ids from equal ones of the owner, if they differ.
    """

    owner: str
    pooling: str | None = None
    seed: int | str | None = None

    @classmethod
    def of(cls, name: str, config: Mapping[str, Any], owners: Collection[str]) -> Self:
        """The feature of a configuration.

        Args:
            name: of the feature.
            config: "shared_with" and "seed", or those of an embedding; and "pooling".
            owners: the features with an embedding of their own.

        Raises:
            InputError: an owner that is none, another pooling, or options that do not go together.
        """
        pooling = config.get("pooling")
        with naming(name):
            if pooling is not None:
                checked_pooling(pooling)
            if name in owners:
                return cls(name, pooling)
            owner, seed = config["shared_with"], config.get("seed")
            if owner not in owners:
                raise InputError(
                    f"it is shared_with {owner!r}, which must be a feature with an embedding of "
                    f"its own: {', '.join(map(repr, owners)) or 'there is none'}"
                )
            others = [repr(key) for key in config if key not in _OPTIONS]
            if others:
                raise InputError(
                    f"it is shared_with {owner!r}, beside which it can have a pooling and a seed "
                    f"alone; got {', '.join(others)}"
                )
            if seed is not None:
                to_ids(seed)  # refuses what is no seed
            return cls(owner, pooling, seed)

    def config(self, name: str, of_embedding: Mapping[str, object]) -> dict[str, object]:
        """The configuration again, given that of the owner's embedding."""
        is_own = self.owner == name
        config: dict[str, object] = dict(of_embedding) if is_own else {"shared_with": self.owner}
        for option in ("seed", "pooling"):
            if getattr(self, option) is not None:
                config[option] = getattr(self, option)
        return config

    def owner_ids(self, ids: Tensor) -> Tensor:
        """The ids as the owner's embedding takes them."""
        return ids if self.seed is None else ids ^ to_ids(self.seed).to(ids.device)
