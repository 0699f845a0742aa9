"""`tablefree.convert` in DeepFM of DeepCTR-Torch, on ML-100K.

The model holds the weights of its tables in `regularization_weight` too, for a penalty, and
`convert` refuses tables that are held elsewhere: the entries are taken out before, and put back
with the new parameters after. The linear part's tables of width 1 are too narrow for a decoder:
they are converted by a call of their own, to multiple hashes.

All features go through one float32 tensor, where whole numbers above 2^24 are rounded. What is
converted takes hashes of 24 bits in the place of numbers of a vocabulary. That merges an id of n
with another in about n / 2^24 of cases: for 1 in 10,000 here, and 6 in 100 of a million ids.

Run: TABLEFREE_DATA=FOLDER python benchmarks/drop_in_deepctr.py [--seeds 3]
"""

import contextlib
import io
from unittest.mock import patch

import numpy as np
import polars as pl
import torch
from drop_in import (
    BATCH,
    DIM,
    HIDDEN,
    LEARNING_RATE,
    MIN_ROWS,
    Events,
    Peer,
    arguments,
    hashed,
    numbered,
    report,
)
from sklearn.metrics import roc_auc_score

from tablefree import Conversion, convert

with patch("threading.Thread.start"):  # in which it asks the network for newer versions of itself
    from deepctr_torch.inputs import SparseFeat
    from deepctr_torch.models import DeepFM

L2 = 1e-5  # the library's default


def hashed_to_24_bits(name: str, values: pl.Series) -> np.ndarray:
    """Hashes of which float32 holds each exactly."""
    return hashed(name, values) & (2**24 - 1)


class DeepCTR(Peer):
    """DeepFM, trained by its own `fit`."""

    def __init__(self, events: Events) -> None:
        sizes = events.num_values.items()
        self.columns = [SparseFeat(name, size, embedding_dim=DIM) for name, size in sizes]
        self.train, self.test = events.train, events.test

    def build(self, seed: int) -> DeepFM:
        return DeepFM(
            self.columns,
            self.columns,
            dnn_hidden_units=HIDDEN,
            l2_reg_linear=L2,
            l2_reg_embedding=L2,
            seed=seed,
        )

    def convert(self, model: DeepFM) -> list[Conversion]:
        parts = {"embedding_dict": "sketch", "linear_model": "multi_hash"}
        del model.regularization_weight[: len(parts)]
        conversions = []
        for part, method in parts.items():
            _, conversion = convert(model, method=method, min_rows=MIN_ROWS, pattern=f"{part}.*")
            model.add_regularization_weight(getattr(model, part).parameters(), l2=L2)
            conversions.append(conversion)
        return conversions

    def fit(self, model: DeepFM) -> None:
        optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        model.compile(optimizer, "binary_crossentropy")
        with contextlib.redirect_stdout(io.StringIO()):
            model.fit(*self.train, batch_size=BATCH, epochs=1, verbose=0)

    def predict(self, model: DeepFM) -> np.ndarray:
        return model.predict(self.test[0], batch_size=BATCH)

    def auc(self, model: DeepFM) -> float:
        return roc_auc_score(self.test[1], self.predict(model))


def main() -> None:
    options = arguments()
    name = "DeepCTR-Torch DeepFM"
    peer = DeepCTR(Events(options.folder, numbered))
    report(f"{name}, tables", peer, options.seeds)
    report(f"{name}, converted", peer, options.seeds, is_converted=True)
    peer = DeepCTR(Events(options.folder, hashed_to_24_bits))
    report(f"{name}, converted, hashed ids", peer, options.seeds, is_converted=True)


if __name__ == "__main__":
    main()
