"""Many features, each with an embedding of its own, those of one shape computed together.

What a model with dozens of categorical features needs: a product of matrices for each feature is
too small to fill a machine, and the calls cost more than the arithmetic. Features of one shape are
stacked, so that the number of operators does not grow with the number of features.
"""

import copy
import json
from collections.abc import Mapping
from itertools import chain
from typing import Any, Self, cast, overload

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.embeddings.base import Description, Embedding, from_config
from tablefree.embeddings.collection_state import rearrange, state_of
from tablefree.embeddings.columns import Column, column_ids, is_table
from tablefree.embeddings.decoded import DecodedEmbedding
from tablefree.embeddings.deep_hash import DeepHashEmbedding
from tablefree.embeddings.feature import Feature, id_type
from tablefree.embeddings.feature_ids import FeatureIds, checked_ids, flat_ids, look_up
from tablefree.embeddings.jagged import Bags
from tablefree.embeddings.stacked import StackedDeepHash, can_stack
from tablefree.errors import CheckpointError, InputError
from tablefree.ids import tensor_ids
from tablefree.pretrained import Pretrained

FROZEN_DTYPES = (torch.float32, torch.bfloat16)
_OF_FEATURE = ("pooling", "padding_idx", "id_type")
_WITHOUT_SEED = ("full_table", "narrow_table", "decoded")


class EmbeddingCollection(Pretrained):
    """An embedding for each feature; equal ids of different features differ, unless told otherwise.

    Deep hash embeddings with batch norm or none whose configurations are equal but for the seed are
    computed at once: one operator finds the distinct ids of all features, one makes their codes,
    each layer is a batched product, and one operator pools all bags of a pooling. The cost is that
    of the feature with the most distinct ids, times the number of features. Other embeddings are
    called one after the other. On CUDA a kernel is launched for each feature's codes.

    Each embeds what a single embedding of its configuration and weights would, to rounding, in
    training too: batch norm averages over the distinct ids of each feature, or of all features that
    share an embedding.

    Args:
        features: for each name the configuration of its embedding, as `Embedding.config` gives it:
            the "method" and its arguments. Without a "seed", the name of the feature is the seed;
            the encodings of the method "decoded" need their own. In the place of all these,
            "shared_with" names another feature, whose embedding this one has too: equal ids of the
            two are one. With a "seed" beside it they differ: the feature's ids are those of the
            seed and the id together, by exclusive or. With a "pooling", "sum", "mean" or "max", a
            feature is a bag of ids, which become one embedding; see `EmbeddingBag`. With a
            "padding_idx", an integer or a string, this id counts as absent: it is in no bag, and
            its embedding is zeros, which nothing trains. With an "id_type", "integer" or "string",
            columns of the other type are refused; without, the first column that the feature is
            trained on decides.

    Attributes:
        names: of the features, in their order.

    Raises:
        InputError: no feature, or a configuration that cannot be used.

    Example:
        >>> shape = {"method": "deep_hash", "embedding_dim": 8, "num_hashes": 64, "hidden": [32]}
        >>> collection = EmbeddingCollection({"user_id": shape, "item_id": shape})
        >>> embeddings = collection({"user_id": torch.tensor([7]), "item_id": torch.tensor([7, 8])})
        >>> embeddings["item_id"].shape
        torch.Size([2, 8])
        >>> collection(torch.tensor([[7, 7], [7, 8], [9, 8]])).shape  # one feature a column
        torch.Size([3, 2, 8])
        >>> history = {"shared_with": "item_id", "pooling": "mean"}
        >>> collection = EmbeddingCollection({"item_id": shape, "history": history})
        >>> import polars
        >>> batch = polars.DataFrame({"item_id": ["a", "b"], "history": [["c", "a"], []]})
        >>> collection(batch)["history"].shape
        torch.Size([2, 8])
    """

    def __init__(self, features: Mapping[str, Mapping[str, object]]) -> None:
        super().__init__()
        self.names = tuple(features)
        owned = {name: one for name, one in features.items() if "shared_with" not in one}
        self._features = {
            name: Feature.of(name, config, owned) for name, config in features.items()
        }
        self._poolings = {name: feature.pooling for name, feature in self._features.items()}
        self._users: dict[str, list[str]] = {owner: [] for owner in owned}
        for name, feature in self._features.items():
            self._users[feature.owner].append(name)
        embeddings = {name: _embedding(name, config) for name, config in owned.items()}
        for name, feature in self._features.items():
            if feature.seed is not None and embeddings[feature.owner].needs_vocabulary:
                raise InputError(
                    f"feature {name!r} has a seed, but the ids of {feature.owner!r}, with which it "
                    "is shared, are numbered: give it an embedding of its own, or no seed"
                )
        self.frozen: str | None = None
        self._id_types = {
            name: id_type(name, one) for name, one in owned.items() if "id_type" in one
        }
        self._arrange(embeddings)

    @classmethod
    def from_embeddings(cls, embeddings: Mapping[str, Embedding]) -> Self:
        """A collection of copies of single embeddings, with their weights and mode.

        Raises:
            InputError: no embedding.
        """
        collection = cls({name: embedding.config() for name, embedding in embeddings.items()})
        collection._arrange({name: copy.deepcopy(one) for name, one in embeddings.items()})
        return collection.train(any(embedding.training for embedding in embeddings.values()))

    @overload
    def forward(
        self, ids: Int[Tensor, "*batch features"]
    ) -> Float[Tensor, "*batch features embedding_dim"]: ...
    @overload
    def forward(self, ids: Mapping[str, FeatureIds] | Any) -> dict[str, Tensor]: ...
    def forward(self, ids: Any) -> dict[str, Tensor] | Tensor:
        """Embed the ids of all features.

        Args:
            ids: for each feature its ids: of any shape, nested tensors of jagged layout, or `Bags`;
                of a feature with a pooling [bags, size], jagged or not, or `Bags`. Or a table with
                a column of this name for each feature, of integers, strings, or lists of them: an
                Arrow record batch or table, a Polars or pandas data frame; other columns do not
                count. Or a tensor whose last dimension goes over the features in their order, when
                all embeddings are of one width, and none is pooled.

        Returns:
            For each feature its embeddings [*batch, embedding_dim], jagged where the ids are, or
            pooled [bags, embedding_dim]; or all in one tensor.

        Raises:
            InputError: a feature that is missing or unknown, a tensor of another number of
                features, what are no ids, no bags of ids, or a column of strings where the feature
                was trained on integers, or of integers for strings.
        """
        if is_table(ids):
            device = next(chain(self.parameters(), self.buffers())).device
            columns = column_ids(ids, self.names)
            self._keep_types(columns)
            ids = {name: column.ids.to(device) for name, column in columns.items()}
        if isinstance(ids, Mapping):
            return self._embed_each(self._checked(ids))
        if not isinstance(ids, Tensor):
            raise InputError(
                "a collection takes ids by the names of features, a table or an integer tensor, "
                f"got {type(ids).__name__}: collect a lazy frame, and make arrays tensors by to_ids"
            )
        return self._embed_columns(ids)

    def embed(self, name: str, ids: Int[Tensor, " n"]) -> Float[Tensor, "n embedding_dim"]:
        """Embed ids of one feature, each by itself where the feature is of bags.

        Raises:
            InputError: an unknown feature, or what are no ids.
        """
        given: dict[str, FeatureIds] = {}
        for one, pooling in self._poolings.items():
            some = ids if one == name else ids.new_empty(0)
            places = torch.arange(len(some) + 1, device=ids.device)
            given[one] = some if pooling is None else Bags(some, places)
        embeddings: Tensor = self(given | ({} if name in given else {name: ids}))[name]
        return embeddings

    def embedding(self, name: str) -> nn.Module:
        """What embeds a feature, packed or not; of deep hashes of one shape, all of them.

        Raises:
            InputError: an unknown feature.
        """
        if name not in self._features:
            known = ", ".join(map(repr, self.names))
            raise InputError(f"there is no feature {name!r}: the collection has {known}")
        owner = self._features[name].owner
        for names, group in zip(self._group_names, self.groups, strict=True):
            if owner in names:
                return group
        return self.singles[self._single_names.index(owner)]

    def freeze(self, dtype: torch.dtype = torch.float32) -> Self:
        """A copy for inference with the same call: batch norm folded, nothing left to train.

        Args:
            dtype: of the networks' weights: float32 or bfloat16. Tables and learned rows stay as
                they are, and embeddings are float32.

        Raises:
            InputError: another dtype, or a collection that is frozen already.
        """
        if dtype not in FROZEN_DTYPES:
            raise InputError(
                f"a frozen collection is float32 or bfloat16, got {dtype}: torch has no batched "
                "product of int8, so freeze single embeddings for it"
            )
        if self.frozen is not None:
            raise InputError("this collection is frozen already: freeze the trained one")
        frozen = copy.deepcopy(self)
        frozen.frozen = str(dtype).removeprefix("torch.")
        for group in frozen._groups():
            group.freeze(dtype)
        for position, single in enumerate(frozen.singles):
            if isinstance(single, DecodedEmbedding):
                frozen.singles[position] = single.freeze(dtype)
        return frozen.requires_grad_(False).eval()

    def config(self) -> dict[str, dict[str, object]]:
        """What the constructor builds a collection of the same shape and hash functions from."""
        return {
            name: feature.config(name, self._config_of(feature.owner))
            for name, feature in self._features.items()
        }

    def saved_config(self) -> dict[str, object]:
        """What `config.json` says of the collection."""
        config: dict[str, object] = {"features": self.config()}
        return config if self.frozen is None else config | {"frozen": self.frozen}

    @classmethod
    def from_saved_config(cls, config: Mapping[str, Any]) -> Self:
        """A collection of the same shape and hash functions, frozen if that was."""
        collection = cls(config["features"])
        names = {str(dtype).removeprefix("torch."): dtype for dtype in FROZEN_DTYPES}
        return collection.freeze(names[config["frozen"]]) if "frozen" in config else collection

    def get_extra_state(self) -> Tensor:
        """Which features' weights lie together, and the types of ids: JSON in a uint8 tensor."""
        state = {
            "groups": self._group_names,
            "singles": self._single_names,
            "id_types": self._id_types,
        }
        return torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the types of ids; `_load_from_state_dict` has put the weights in place."""
        self._id_types = state_of(state).id_types

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        # What older versions saved has no names: there, features lie in the order of this one's.
        state = state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())
        rearrange(state_dict, prefix, state_of(state), state_of(self.get_extra_state()))
        super()._load_from_state_dict(state_dict, prefix, *others)

    def describe(self) -> Description:
        """Parameters and bytes of all features, the multiply-adds of an id of each embedding."""
        parameters = list(self.parameters())
        return Description(
            num_parameters=sum(parameter.numel() for parameter in parameters),
            num_bytes=sum(tensor.nbytes for tensor in (*parameters, *self.buffers())),
            multiply_adds=sum(
                cast(Embedding | StackedDeepHash, one).multiply_adds
                for one in (*self.groups, *self.singles)
            ),
        )

    def _arrange(self, embeddings: Mapping[str, Embedding]) -> None:
        """Stack embeddings of one shape, and keep the others."""
        if not embeddings:
            raise InputError("a collection needs at least one feature, got none")
        self._configs = {name: embedding.config() for name, embedding in embeddings.items()}
        self._widths = {embedding.embedding_dim for embedding in embeddings.values()}
        by_shape: dict[str, list[str]] = {}
        for name, embedding in embeddings.items():
            if can_stack(embedding):
                by_shape.setdefault(_shape(embedding), []).append(name)
        # Lists, as names may have dots, which modules may not.
        self._group_names = [names for names in by_shape.values() if len(names) > 1]
        grouped = {name for names in self._group_names for name in names}
        self._single_names = [name for name in embeddings if name not in grouped]
        self.groups = nn.ModuleList(
            StackedDeepHash([cast(DeepHashEmbedding, embeddings[name]) for name in names])
            for names in self._group_names
        )
        self.singles = nn.ModuleList(embeddings[name] for name in self._single_names)

    def _config_of(self, owner: str) -> dict[str, object]:
        if owner in self._single_names:  # which packing may have made smaller
            config = cast(Embedding, self.embedding(owner)).config()
        else:
            config = copy.deepcopy(self._configs[owner])
        return config | ({"id_type": self._id_types[owner]} if owner in self._id_types else {})

    def _keep_types(self, columns: Mapping[str, Column]) -> None:
        """Refuse ids of another type than those of training; in training, the first decide."""
        known = dict(self._id_types)
        for name, column in columns.items():
            owner = self._features[name].owner
            if column.id_type is None:
                continue
            wanted = known.setdefault(owner, column.id_type)
            if column.id_type != wanted:
                raise InputError(
                    f"feature {name!r} has ids of type {column.id_type}, and was trained on ids of "
                    f"type {wanted}, of which none is equal: convert the column"
                )
        if self.training:
            self._id_types = known

    def _groups(self) -> list[StackedDeepHash]:
        return [cast(StackedDeepHash, group) for group in self.groups]

    def _checked(self, ids: Mapping[str, FeatureIds]) -> dict[str, FeatureIds]:
        for wrong, what in (
            ([name for name in self.names if name not in ids], "ids are missing"),
            ([name for name in ids if name not in self.names], "ids have the unknown"),
        ):
            if wrong:
                names = ", ".join(map(repr, wrong))
                known = ", ".join(map(repr, self.names))
                raise InputError(f"{what} feature(s) {names}: the collection has {known}")
        return {name: checked_ids(name, ids[name], self._poolings[name]) for name in self.names}

    def _embed_each(self, given: Mapping[str, FeatureIds]) -> dict[str, Tensor]:
        ids = {name: self._features[name].without_padding(one) for name, one in given.items()}
        flat = {name: self._features[name].owner_ids(flat_ids(one)) for name, one in ids.items()}
        embeddings: dict[str, Tensor] = {}
        for owners, group in zip(self._group_names, self._groups(), strict=True):
            names = [name for owner in owners for name in self._users[owner]]
            sizes = [sum(flat[name].shape[0] for name in self._users[owner]) for owner in owners]
            rows, places = group(torch.cat([flat[name] for name in names]), sizes)
            embeddings |= look_up(rows, places, {name: ids[name] for name in names}, self._poolings)
        for owner, embedding in zip(self._single_names, self.singles, strict=True):
            names = self._users[owner]
            every = torch.cat([flat[name] for name in names])
            if any(self._poolings[name] for name in names):
                distinct, places = torch.unique(every, return_inverse=True)
            else:  # a table has nothing to gain, and others find them themselves
                distinct, places = every, torch.arange(every.shape[0], device=every.device)
            rows = embedding(distinct)
            embeddings |= look_up(rows, places, {name: ids[name] for name in names}, self._poolings)
        return {
            name: self._features[name].with_padding(embeddings[name], given[name])
            for name in self.names
        }

    def _embed_columns(
        self, ids: Int[Tensor, "*batch features"]
    ) -> Float[Tensor, "*batch features embedding_dim"]:
        ids = tensor_ids(ids)
        num_features = len(self.names)
        if len(self._widths) > 1:
            raise InputError(
                f"embeddings are {', '.join(map(str, sorted(self._widths)))} wide, which is no one "
                "tensor: pass ids by the names of the features"
            )
        pooled = [repr(name) for name in self.names if self._poolings[name] is not None]
        if pooled:
            raise InputError(
                f"feature(s) {', '.join(pooled)} take bags, which no column of one tensor holds: "
                "pass ids by the names of the features"
            )
        if ids.ndim == 0 or ids.shape[-1] != num_features:
            raise InputError(
                f"the last dimension of ids must go over the {num_features} features, got shape "
                f"{tuple(ids.shape)}"
            )
        is_padded = any(feature.padding_idx is not None for feature in self._features.values())
        if is_padded or self._group_names != [list(self.names)]:
            columns = dict(zip(self.names, ids.unbind(-1), strict=True))
            return torch.stack(list(self._embed_each(columns).values()), dim=-2)
        (group,) = self._groups()
        rows = ids.reshape(-1, num_features)
        num_rows = rows.shape[0]
        found, places = group(rows.T.reshape(-1), [num_rows] * num_features)
        by_feature = F.embedding(places, found).view(num_features, num_rows, group.embedding_dim)
        return by_feature.transpose(0, 1).contiguous().view(*ids.shape, group.embedding_dim)


def _embedding(name: str, config: Mapping[str, object]) -> Embedding:
    config = {key: value for key, value in config.items() if key not in _OF_FEATURE}
    if config.get("method") not in _WITHOUT_SEED:
        config = {"seed": name, **config}
    try:
        return from_config(config)
    except CheckpointError as error:
        raise InputError(f"feature {name!r}: {error.__cause__ or error}") from None


def _shape(embedding: Embedding) -> str:
    """What embeddings that can be stacked have in common."""
    config = embedding.config()
    del config["seed"]
    weight = next(embedding.parameters())
    return json.dumps([config, str(weight.dtype), str(weight.device)], sort_keys=True)
