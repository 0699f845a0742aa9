"""What a run trains: the embeddings of a method at a size, and a model over them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch

from tablefree.checks import check_choice
from tablefree.embeddings import DecodedEmbedding, Embedding, NarrowTable
from tablefree.embeddings.budget import build
from tablefree.embeddings.history import HistoryUsers
from tablefree.encodings import DenseHashEncoding, Encoding, SideFeatures
from tablefree.errors import InputError
from tablefree.experiments.designs import Design
from tablefree.experiments.recipes import batch_size
from tablefree.experiments.task import Side, Task
from tablefree.models import MODELS, Recommender
from tablefree.training.fit import Recipe

USERS = ("id", "history", "both")
SIDE_FEATURES = ("none", "encoding", "input")
HISTORY_ALPHA = 0.75  # better than .5 on sparse data


@dataclass(frozen=True)
class Run:
    """What is trained.

    Attributes:
        method: of the embeddings, one of `tablefree.embeddings.budget.METHODS`.
        model: "gmf" or "mlp".
        size: of the embeddings, as a ratio to the full tables': parameters, or packed bytes.
        seed: of the weights, the hash functions, and the order and negatives of the training.
        embedding_dim: width of the embeddings.
        recipe: how it is trained.
        decoder: widths of the hidden layers of a decoder over the embeddings of any method.
        code_width: numbers of the code under a decoder or a projection; by default what `build`
            chooses.
        users: what a user is, one of `USERS`: its "id"; its "history", the bag of the items of its
            training events, in the code of the items; or "both", added.
        side_features: where the features that the data has go, one of `SIDE_FEATURES`: nowhere
            ("none"), beside the code under the decoder ("encoding"), or into a linear layer over
            the finished embedding ("input").
        study: of an ablation, the factor that it varies.
        variant: likewise, the level of the factor.
        design: likewise, the encoding and the network, in place of the method's own.
        fixed: fields of the recipe that tuning leaves as they are.
        parameters: of the embeddings, as a ratio to the full tables', where `size` is one of bytes.
        budgets: bytes that the trained embeddings are packed into, vocabularies included.
    """

    method: str
    model: str
    size: float
    seed: int
    embedding_dim: int
    recipe: Recipe
    decoder: tuple[int, ...] = ()
    code_width: int | None = None
    users: str = "id"
    side_features: str = "none"
    study: str = ""
    variant: str = ""
    design: Design | None = None
    fixed: tuple[str, ...] = ()
    parameters: float | None = None
    budgets: tuple[int, ...] = ()

    def build_model(self, task: Task) -> Recommender:
        """Build the untrained model, without touching the global random state.

        Raises:
            InputError: an unknown model, method, kind of users or place of the features, data
                without features, or a size that the method cannot have.
        """
        check_choice("model", self.model, tuple(MODELS))
        check_choice("users", self.users, USERS)
        check_choice("side_features", self.side_features, SIDE_FEATURES)
        has_features = task.users.features is not None or task.items.features is not None
        if self.side_features != "none" and not has_features:
            raise InputError(
                f"{task.interactions.name} has no features of users or items: use "
                "side_features none, or other data"
            )
        with seeded(self.seed):
            users = self._embedding(task.users) if self.users != "history" else None
            items = self._embedding(task.items)
            if self.users != "id":
                users = self._histories(items, own=users)
            assert users is not None
            return MODELS[self.model](users, items)

    def outline(self, task: Task) -> Recommender:
        """The untrained model without the time and memory of its weights.

        Raises:
            InputError: as `build_model`.
        """
        with torch.device("meta"):
            return self.build_model(task)

    def _histories(self, items: Embedding, own: Embedding | None) -> HistoryUsers:
        """Users over the learned code of the items, with a decoder like theirs if it has one."""
        is_learned = isinstance(items, DecodedEmbedding) and not isinstance(
            items.encodings[0], DenseHashEncoding
        )
        if not is_learned:
            return HistoryUsers(items, self.embedding_dim, alpha=HISTORY_ALPHA, own=own)
        items = cast(DecodedEmbedding, items)
        return HistoryUsers(
            cast(Encoding, items.encodings[0]),
            self.embedding_dim,
            hidden=items.options["hidden"],
            alpha=HISTORY_ALPHA,
            own=own,
        )

    def _embedding(self, side: Side) -> Embedding:
        """The embedding of the method, over features too where it has some and they are asked for.

        What the features' weights take is taken from the size, so that sizes stay comparable.
        """
        if self.side_features == "none" or side.features is None:
            return self._without_features(side)
        width, dim = side.features.shape[1] + 1, self.embedding_dim  # and a flag
        if self.side_features == "input":
            embedding = self._without_features(side, (dim + width + 1) * dim)
            return self._over_features(side, embedding, [embedding], hidden=(), skip=False)
        embedding = self._without_features(side)
        if not isinstance(embedding, DecodedEmbedding):
            raise InputError(
                f"side features at the encoding need a network: give {self.method} a decoder, or "
                "use side_features input"
            )
        spent = width * (embedding.options["hidden"][0] + dim * embedding.options["skip"])
        embedding = cast(DecodedEmbedding, self._without_features(side, spent))
        codes = cast(Sequence[Encoding], embedding.encodings)
        return self._over_features(side, embedding, codes, **embedding.options)

    def _over_features(
        self, side: Side, of: Embedding, codes: Sequence[Encoding], **options: Any
    ) -> DecodedEmbedding:
        """A network over the codes and the features, by what the embedding of the ids takes."""
        assert side.features is not None
        keys, values = side.keys(of), torch.from_numpy(side.features)
        is_trained = torch.from_numpy(side.train_counts > 0)
        features = SideFeatures(keys[is_trained], values[is_trained])
        embedding = DecodedEmbedding(self.embedding_dim, [*codes, features], **options)
        if not of.needs_vocabulary:  # else the other ids have one row, and no features of their own
            # Now, as the scale of the first weights is that of the trained ids.
            embedding.encodings[-1] = SideFeatures(keys, values)
        return embedding

    def _without_features(self, side: Side, spent: int = 0) -> Embedding:
        """The embedding of the method, with `spent` parameters less than its size allows.

        A full table has one size, and features come on top.
        """
        spent = 0 if self.method == "full_table" else spent
        if self.method == "narrow_table" and self.code_width and not self.decoder:
            return NarrowTable(side.num_embeddings, self.embedding_dim, self.code_width)
        # At least one, so that a size too small is refused with the smallest that is possible.
        size = self.size if self.parameters is None else self.parameters
        left = max(1, round(size * side.num_embeddings * self.embedding_dim) - spent)
        seed = f"{side.name}:{self.seed}"
        if self.design is not None:
            return self.design.build(side, left, self.embedding_dim, seed)
        return build(
            self.method,
            num_parameters=left,
            num_embeddings=side.num_embeddings,
            embedding_dim=self.embedding_dim,
            seed=seed,
            frequent_ids=side.frequent_ids,
            decoder=self.decoder,
            code_width=self.code_width,
        )


def identity(run: Run, task: Task) -> dict[str, object]:
    """The columns of the results that tell one run from another, known before it is trained."""
    recipe = run.recipe
    if recipe.network_learning_rate is None:
        recipe = replace(recipe, network_learning_rate=recipe.learning_rate)
    if recipe.network_weight_decay is None:
        recipe = replace(recipe, network_weight_decay=recipe.weight_decay)
    return {
        "dataset": task.interactions.name,
        "data_digest": task.data_digest,
        "split": task.how,
        "study": run.study,
        "variant": run.variant,
        "design": "" if run.design is None else run.design.to_json(),
        "method": run.method,
        "model": run.model,
        "size": run.size,
        "seed": run.seed,
        "users": run.users,
        "side_features": run.side_features,
        "decoder": decoder_text(run),
        "code_width": run.code_width,
        "learning_rate": recipe.learning_rate,
        "network_learning_rate": recipe.network_learning_rate,
        "weight_decay": recipe.weight_decay,
        "network_weight_decay": recipe.network_weight_decay,
        "optimizer": recipe.optimizer,
        "schedule": recipe.schedule,
        "precision": recipe.precision,
        "max_epochs": recipe.max_epochs,
        "patience": recipe.patience,
        "batch_size": recipe.batch_size or batch_size(task),
        "embedding_dim": run.embedding_dim,
        "num_users": task.users.num_embeddings,
        "num_items": task.items.num_embeddings,
        "num_train_events": len(task.split.train),
    }


def decoder_text(run: Run) -> str:
    """The decoder over the embeddings of any method as results name it: 64-64, or nothing."""
    return "-".join(map(str, run.decoder))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's generators seeded within, and as they were afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield
