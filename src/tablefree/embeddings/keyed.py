"""A collection in the place of TorchRec's `EmbeddingBagCollection`.

It is no part of `import tablefree`, as it imports TorchRec.
"""

import torch
from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollectionInterface
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

from tablefree.embeddings.collection import EmbeddingCollection
from tablefree.embeddings.jagged import Bags
from tablefree.errors import InputError

_POOLINGS = {"sum": PoolingType.SUM, "mean": PoolingType.MEAN}
_ALL_IDS = 2**64


class KeyedEmbeddingBags(EmbeddingBagCollectionInterface):  # type: ignore[misc]
    """Take a `KeyedJaggedTensor` and return a `KeyedTensor`, as `EmbeddingBagCollection` does.

    Args:
        collection: of features that are all pooled, by "sum" or "mean".
        is_weighted: whether ids have weights, in features pooled by "sum".

    Raises:
        InputError: a feature without a pooling, or with one that TorchRec has not.

    Example:
        >>> shape = {"method": "hashing_trick", "num_rows": 100, "embedding_dim": 8}
        >>> bags = {"tags": shape | {"pooling": "sum"}, "words": shape | {"pooling": "mean"}}
        >>> keyed = KeyedEmbeddingBags(EmbeddingCollection(bags))
        >>> values, lengths = torch.tensor([7, 8, 9]), torch.tensor([1, 0, 2, 0])
        >>> keyed(KeyedJaggedTensor(["tags", "words"], values, lengths=lengths)).values().shape
        torch.Size([2, 16])
    """

    def __init__(self, collection: EmbeddingCollection, *, is_weighted: bool = False) -> None:
        super().__init__()
        configs = collection.config()
        self._configs: list[EmbeddingBagConfig] = []
        for name, config in configs.items():
            pooling = config.get("pooling")
            if pooling not in _POOLINGS:
                raise InputError(
                    f"feature {name!r} needs a pooling that TorchRec has, "
                    f"{' or '.join(map(repr, _POOLINGS))}; got {pooling!r}"
                )
            embedding = configs[str(config.get("shared_with", name))]
            self._configs.append(
                EmbeddingBagConfig(
                    name=name,
                    embedding_dim=embedding["embedding_dim"],
                    num_embeddings=embedding.get("num_embeddings", _ALL_IDS),
                    feature_names=[name],
                    pooling=_POOLINGS[str(pooling)],
                )
            )
        self.collection = collection
        self._is_weighted = is_weighted

    def forward(self, features: KeyedJaggedTensor) -> KeyedTensor:
        """Embed and pool the bags of each feature.

        Args:
            features: with a key for each feature of the collection; other keys do not count.

        Returns:
            The pooled embeddings [batch, sum of widths], with the features as keys, in the order of
            the collection.

        Raises:
            InputError: a key that is missing, or batches of different sizes.
        """
        if features.variable_stride_per_key():
            raise InputError("the features of a KeyedTensor are of one batch, got several sizes")
        bags = {}
        for name, jagged in features.to_dict().items():
            if name in self.collection.names:
                weights = jagged.weights() if self._is_weighted else None
                bags[name] = Bags(jagged.values(), jagged.offsets(), weights)
        pooled = self.collection(bags)
        widths = [rows.shape[1] for rows in pooled.values()]
        return KeyedTensor(list(pooled), widths, torch.cat(list(pooled.values()), dim=1))

    def embedding_bag_configs(self) -> list[EmbeddingBagConfig]:
        """What TorchRec's models read: a configuration for each feature, as if it had a table.

        Where there is none, the number of its rows is that of 64-bit ids.
        """
        return self._configs

    def is_weighted(self) -> bool:
        """Whether ids have weights."""
        return self._is_weighted
