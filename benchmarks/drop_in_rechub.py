"""`tablefree.convert` in DeepFM and DSSM of torch-rechub, on ML-100K.

Ids reach the embeddings as 64-bit integers: what is converted takes the hash of any value in the
place of its number in a vocabulary. Two things to know. A feature of torch-rechub keeps the table
that it made, as `feature.embed`, and gives it to the next model too: it is dropped here after the
conversion, else its memory stays. And the trainer's `embedding_l1` and `embedding_l2` mean
`nn.Embedding`: what is converted falls under `dense_l1` and `dense_l2`.

Run: TABLEFREE_DATA=FOLDER python benchmarks/drop_in_rechub.py [--seeds 3]
"""

from collections.abc import Callable

import torch
from drop_in import (
    BATCH,
    DIM,
    HIDDEN,
    LEARNING_RATE,
    MIN_ROWS,
    USER_FIELDS,
    Events,
    Peer,
    arguments,
    hashed,
    numbered,
    report,
)
from torch import nn
from torch_rechub.basic.features import SparseFeature
from torch_rechub.models.matching import DSSM
from torch_rechub.models.ranking import DeepFM
from torch_rechub.trainers import CTRTrainer
from torch_rechub.utils.data import DataGenerator

from tablefree import Conversion, convert


class Rechub(Peer):
    """A model that torch-rechub's `CTRTrainer` trains."""

    def __init__(self, make: Callable[[list[SparseFeature]], nn.Module], events: Events) -> None:
        self.make, self.num_values = make, events.num_values
        (ids, labels), (test_ids, test_labels) = events.train, events.test
        self.train, _, self.test = DataGenerator(ids, labels).generate_dataloader(
            x_test=test_ids, y_test=test_labels, batch_size=BATCH
        )

    def build(self, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        sizes = self.num_values.items()
        return self.make([SparseFeature(name, size, embed_dim=DIM) for name, size in sizes])

    def convert(self, model: nn.Module) -> list[Conversion]:
        _, conversion = convert(model, min_rows=MIN_ROWS)
        for feature in model.embedding.features:
            vars(feature).pop("embed", None)
        return [conversion]

    def fit(self, model: nn.Module) -> None:
        self._trainer(model).train_one_epoch(self.train)

    def predict(self, model: nn.Module) -> list[float]:
        return self._trainer(model).predict(model, self.test)

    def auc(self, model: nn.Module) -> float:
        return self._trainer(model).evaluate(model, self.test)

    def _trainer(self, model: nn.Module) -> CTRTrainer:
        return CTRTrainer(model, optimizer_params={"lr": LEARNING_RATE})


def deep_fm(features: list[SparseFeature]) -> nn.Module:
    return DeepFM(features, features, mlp_params={"dims": HIDDEN})


def dssm(features: list[SparseFeature]) -> nn.Module:
    """Scores are cosines, so that a logit is between -1 and 1."""
    users = [feature for feature in features if feature.name in USER_FIELDS]
    items = [feature for feature in features if feature.name not in USER_FIELDS]
    return DSSM(users, items, user_params={"dims": HIDDEN}, item_params={"dims": HIDDEN})


def main() -> None:
    options = arguments()
    with_numbers, with_hashes = (Events(options.folder, ids) for ids in (numbered, hashed))
    for name, make in (("torch-rechub DeepFM", deep_fm), ("torch-rechub DSSM", dssm)):
        peer = Rechub(make, with_numbers)
        report(f"{name}, tables", peer, options.seeds)
        report(f"{name}, converted", peer, options.seeds, is_converted=True)
        peer = Rechub(make, with_hashes)
        report(f"{name}, converted, hashed ids", peer, options.seeds, is_converted=True)


if __name__ == "__main__":
    main()
