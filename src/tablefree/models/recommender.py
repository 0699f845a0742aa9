"""What every recommender is: a score for a pair of a user's and an item's embedding."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, cast

from jaxtyping import Float, Int
from torch import Tensor

from tablefree.embeddings import DecodedEmbedding, Embedding, from_config
from tablefree.embeddings.history import HistoryUsers
from tablefree.encodings import Encoding
from tablefree.errors import InputError
from tablefree.pretrained import Pretrained

MODELS: dict[str, type["Recommender"]] = {}
"""Each model by its name on the command line and in checkpoints."""


class Recommender(Pretrained):
    """Base of the recommenders over two embeddings of equal width.

    Args:
        users: embedding of the users.
        items: embedding of the items, of any method.

    Raises:
        InputError: embeddings of different widths.
    """

    def __init_subclass__(cls, *, name: str | None = None) -> None:
        super().__init_subclass__()
        if name is not None:
            MODELS[name] = cls

    def __init__(self, users: Embedding, items: Embedding) -> None:
        super().__init__()
        if users.embedding_dim != items.embedding_dim:
            raise InputError(
                f"users and items need embeddings of one width, got {users.embedding_dim} and "
                f"{items.embedding_dim}: choose one embedding_dim"
            )
        self.users = users
        self.items = items

    @abstractmethod
    def score(
        self,
        users: Float[Tensor, "*batch embedding_dim"],
        items: Float[Tensor, "*batch embedding_dim"],
    ) -> Float[Tensor, "*batch"]:
        """Logits of pairs of embeddings."""

    def forward(
        self, users: Int[Tensor, "*batch"], items: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Logits of pairs of ids (positions, where an embedding needs a vocabulary)."""
        return self.score(self.users(users), self.items(items))

    def saved_config(self) -> dict[str, object]:
        """What `config.json` says of the model."""
        return {
            "model": next((name for name, kind in MODELS.items() if type(self) is kind), None),
            "users": {"embedding": self.users.config()},
            "items": {"embedding": self.items.config()},
        }

    @classmethod
    def from_saved_config(cls, config: Mapping[str, Any]) -> "Recommender":
        """A model of the same shape and hash functions."""
        items = from_config(config["items"]["embedding"])
        return MODELS[config["model"]](_users(config["users"]["embedding"], items), items)


def _users(config: Mapping[str, Any], items: Embedding) -> Embedding:
    """The embedding of users; one of histories is over the items, or over their code."""
    if config.get("method") != "history":
        return from_config(config)
    own, hidden = config["own"], config["hidden"]
    code = (
        items.encodings[0] if hidden is not None and isinstance(items, DecodedEmbedding) else items
    )
    return HistoryUsers(
        cast(Encoding, code),
        config["embedding_dim"],
        hidden=hidden,
        alpha=config["alpha"],
        own=None if own is None else from_config(own),
    )
