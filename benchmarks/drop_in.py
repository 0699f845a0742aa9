"""What the proofs of `tablefree.convert` in other libraries' models share: events, and a table.

ML-100K in RecBole's files, which all three libraries are given: seven fields with one value each,
and whether the rating was 4 or 5. One epoch of Adam at one rate by the library's own trainer proves
that a converted model trains as it is; it does not compare what each could reach.
"""

import argparse
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from tablefree import Conversion, hash_strings
from tablefree.conversion.adapters import Converted

FIELDS = ("user_id", "item_id", "age", "gender", "occupation", "zip_code", "release_year")
USER_FIELDS = ("user_id", "age", "gender", "occupation", "zip_code")
MIN_ROWS = 500  # users, items and zip codes have more
DIM, HIDDEN = 16, (64, 32)
BATCH, LEARNING_RATE = 256, 0.003
TEST_SHARE = 0.1


class Peer(ABC):
    """A model of another library, with the events that it learns from and is tested on."""

    @abstractmethod
    def build(self, seed: int) -> nn.Module:
        """The model with tables, as its library makes it."""

    @abstractmethod
    def convert(self, model: nn.Module) -> list[Conversion]:
        """Replace its large tables in place, with what the library needs besides."""

    @abstractmethod
    def fit(self, model: nn.Module) -> None:
        """Train one epoch, by the library's own trainer."""

    @abstractmethod
    def predict(self, model: nn.Module) -> Sequence[float]:
        """Probabilities or scores of the test events."""

    @abstractmethod
    def auc(self, model: nn.Module) -> float:
        """The AUC of the test events."""


class Events:
    """Ids of each field, int64 [n], and labels, float32 [n], of a training and a test part."""

    def __init__(self, folder: Path, number: Callable[[str, pl.Series], np.ndarray]) -> None:
        events = read(folder)
        ids = {name: number(name, events[name]) for name in FIELDS}
        labels = (events["rating"].cast(float) >= 4).to_numpy().astype(np.float32)
        self.num_values = {name: events[name].n_unique() for name in FIELDS}
        order = np.random.default_rng(0).permutation(len(labels))
        self.test, self.train = (
            ({name: ids[name][part] for name in FIELDS}, labels[part])
            for part in np.split(order, [int(TEST_SHARE * len(order))])
        )


def read(folder: Path) -> pl.DataFrame:
    """All ratings with the features of both sides, as text."""
    interactions, users, items = (
        pl.read_csv(path, separator="\t", quote_char=None, infer_schema=False).rename(
            lambda column: column.partition(":")[0]
        )
        for path in (folder / f"{folder.name}.{part}" for part in ("inter", "user", "item"))
    )
    events = interactions.join(users, on="user_id", maintain_order="left")
    return events.join(items, on="item_id", maintain_order="left").fill_null("")


def numbered(_: str, values: pl.Series) -> np.ndarray:
    """Numbers 0..n-1, which tables need: a vocabulary of all values must be kept."""
    return values.rank("dense").to_numpy().astype(np.int64) - 1


def hashed(name: str, values: pl.Series) -> np.ndarray:
    """Ids of 64 bits for the fields that are converted, from each value alone."""
    if values.n_unique() < MIN_ROWS:
        return numbered(name, values)
    return hash_strings(values).numpy()


def embedding_size(model: nn.Module) -> tuple[int, int]:
    """Parameters and bytes of all tables and of what stands in their place."""
    found = [one for one in model.modules() if isinstance(one, nn.Embedding | Converted)]
    weights = [weight for one in found for weight in one.parameters()]
    buffers = [buffer for one in found for buffer in one.buffers()]
    return sum(w.numel() for w in weights), sum(t.nbytes for t in (*weights, *buffers))


def report(name: str, peer: Peer, seeds: int, *, is_converted: bool = False) -> None:
    """Train with each seed and print a row of the table, and what was converted."""
    values, conversions = [], []
    for seed in range(seeds):
        model = peer.build(seed)
        if is_converted:
            conversions = peer.convert(model)
        torch.manual_seed(seed)  # the same batches for both
        peer.fit(model)
        values.append(peer.auc(model))
    num_parameters, num_bytes = embedding_size(model)
    spread = f" ± {stdev(values):.4f}" if seeds > 1 else ""
    print(f"| {name} | {mean(values):.4f}{spread} | {num_parameters:,} | {num_bytes:,} |")
    for conversion in conversions:
        print(conversion)


def arguments() -> Any:
    """The folder of the data, and the options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder = Path(os.environ["TABLEFREE_DATA"]) / "ml-100k"
    return options
