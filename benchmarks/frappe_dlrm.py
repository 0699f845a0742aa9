"""DLRM on Frappe's ten fields: a table for each field against a quarter of their parameters.

Trained on 90 % of the public validation part, stopped by the AUC on its other 10 %, and tested on
the public test part. Each kind of embedding takes its recipe from the same grid of decays and
rates, by the validation AUC of seed 0; with it the mean of all seeds is printed.

Run: TABLEFREE_DATA=FOLDER python benchmarks/frappe_dlrm.py [--seeds 3 --dim 32]
"""

import argparse
import copy
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import ceil
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from tablefree import DLRM, EmbeddingCollection, FullTable, SketchEmbedding, presets
from tablefree.data import Vocabulary
from tablefree.data.libfm import read_files
from tablefree.embeddings.budget import SKETCH_HASHES
from tablefree.encodings.row_claims import SLOTS
from tablefree.training.metrics import auc
from tablefree.training.optimizers import parameter_groups

FIELDS = (
    "user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country",
    "city",
)  # fmt: skip
SIZE = 1 / 4
SMALL_FIELD = 300  # ids: fields below have tables beside the sketches too
SPARE, SHARED_ROWS = 1.02, 8  # of a sketch: rows for ids of their own, an id; and for the others
ROW_STD = 0.1
BATCH, MAX_EPOCHS, PATIENCE = 1024, 12, 2
ROW_RATE = 0.03
ROW_DECAYS, NETWORK_RATES = (0.1, 0.3), (0.003, 0.01)


class Events(NamedTuple):
    """Ids [n, fields] and whether each event is a positive."""

    ids: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Data:
    """The parts, as one kind of embedding takes them."""

    train: Events
    validation: Events
    test: Events


@dataclass(frozen=True)
class Kind:
    """A kind of embedding: what makes it, and whether each field's ids are numbered for it."""

    name: str
    build: Callable[[], EmbeddingCollection]
    data: Data
    vocabulary_bytes: int


def read(folder: Path) -> Data:
    tune, test = (
        read_files([folder / f"frappe.{part}.libfm.gz"], FIELDS) for part in ("validation", "test")
    )
    order = np.random.default_rng(0).permutation(tune.height)
    held_out = tune.height // 10
    return Data(_events(tune[order[held_out:]]), _events(tune[order[:held_out]]), _events(test))


def _events(frame: pl.DataFrame) -> Events:
    return Events(frame.select(FIELDS).to_torch(), frame["label"].to_torch().float())


def numbered(data: Data, vocabularies: dict[str, Vocabulary]) -> Data:
    """The same with positions for the ids of those fields that have a vocabulary."""

    def positions(events: Events) -> Events:
        ids = events.ids.clone()
        for name, vocabulary in vocabularies.items():
            column = ids[:, FIELDS.index(name)]
            column.copy_(torch.from_numpy(vocabulary.lookup(column.numpy())))
        return Events(ids, events.labels)

    return Data(*(positions(part) for part in (data.train, data.validation, data.test)))


def train(model: DLRM, data: Data, decay: float, network_rate: float, seed: int) -> float:
    """Train to the epoch of the best validation AUC, which is returned."""
    generator = torch.Generator().manual_seed(seed)
    groups = parameter_groups(
        model, learning_rate=ROW_RATE, weight_decay=decay, network_learning_rate=network_rate
    )
    optimizer = torch.optim.AdamW(groups, fused=True)
    best, best_epoch, weights = 0.0, 0, {}
    for epoch in range(MAX_EPOCHS):
        model.train()
        for batch in torch.randperm(len(data.train.ids), generator=generator).split(BATCH):
            loss = F.binary_cross_entropy_with_logits(
                model(data.train.ids[batch]), data.train.labels[batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        value = evaluate(model, data.validation)
        if value > best:
            best, best_epoch, weights = value, epoch, copy.deepcopy(model.state_dict())
        elif epoch - best_epoch == PATIENCE:
            break
    model.load_state_dict(weights)
    return best


@torch.no_grad()
def evaluate(model: DLRM, events: Events) -> float:
    return auc(model.eval()(events.ids), events.labels)


def kinds(data: Data, dim: int) -> list[Kind]:
    """A table for each field; and at a quarter of it sketches for users and items, or for all."""
    vocabularies = {
        name: Vocabulary(np.unique(data.train.ids[:, number].numpy()))
        for number, name in enumerate(FIELDS)
    }
    sizes = {name: len(vocabulary) for name, vocabulary in vocabularies.items()}
    small = {name: one for name, one in vocabularies.items() if len(one) < SMALL_FIELD}
    tables = {name: FullTable(size, dim) for name, size in sizes.items()}
    budget = int(SIZE * sum(table.num_parameters for table in tables.values()))
    left = budget - sum(tables[name].num_parameters for name in small)
    narrow = linear_sketches({name: sizes[name] for name in FIELDS if name not in small}, left, dim)

    def with_tables() -> EmbeddingCollection:
        configs = {name: one.config() for name, one in {**tables, **narrow}.items()}
        collection = EmbeddingCollection(configs)
        for embedding in collection.singles:
            if isinstance(embedding, SketchEmbedding):
                embedding.rescale_code(ROW_STD)  # as small as a table's rows
        return collection

    def one_sketch() -> EmbeddingCollection:
        first, *others = FIELDS
        num_ids = sum(sizes.values())
        size = budget / (num_ids * dim)
        shared = {name: {"shared_with": first, "seed": name} for name in others}
        sketch = presets.sketch(dim, num_ids=num_ids, size=size, seed=first)
        return EmbeddingCollection({first: sketch.config(), **shared})

    def num_bytes(some: dict[str, Vocabulary]) -> int:
        return sum(vocabulary.num_bytes for vocabulary in some.values())

    return [
        Kind(
            "a table for each field",
            lambda: EmbeddingCollection({name: one.config() for name, one in tables.items()}),
            numbered(data, vocabularies),
            num_bytes(vocabularies),
        ),
        Kind(
            "linear sketches for user and item, tables for the others",
            with_tables,
            numbered(data, small),
            num_bytes(small),
        ),
        Kind("presets.sketch, one for all fields", one_sketch, data, 0),
    ]


def linear_sketches(
    sizes: dict[str, int], num_parameters: int, dim: int
) -> dict[str, SketchEmbedding]:
    """Sketches with a linear decoder each, whose rows are as wide as the parameters allow."""
    own = {name: ceil(SPARE * size / SLOTS) * SLOTS for name, size in sizes.items()}
    num_rows = sum(own.values()) + len(sizes) * SHARED_ROWS * SKETCH_HASHES
    width = (num_parameters - len(sizes) * dim) // (num_rows + len(sizes) * dim)
    return {
        name: SketchEmbedding(
            dim, num_rows=SHARED_ROWS, code_width=width, num_hashes=SKETCH_HASHES,
            capacity=own[name], hidden=(), skip=False, seed=name,
        )
        for name in sizes
    }  # fmt: skip


def report(kind: Kind, seeds: int) -> None:
    """Tune on seed 0, then print the mean and deviation of all seeds."""
    start = time.perf_counter()

    def run(recipe: tuple[float, float], seed: int) -> tuple[float, float]:
        torch.manual_seed(seed)
        model = DLRM(kind.build())
        validation = train(model, kind.data, *recipe, seed)
        return validation, evaluate(model, kind.data.test)

    tuned = {recipe: run(recipe, 0) for recipe in product(ROW_DECAYS, NETWORK_RATES)}
    for (decay, rate), (validation, test) in tuned.items():
        print(f"  decay {decay}, network rate {rate}: validation {validation:.4f}, test {test:.4f}")
    best = max(tuned, key=lambda recipe: tuned[recipe])
    validations, tests = zip(
        tuned[best], *(run(best, seed) for seed in range(1, seeds)), strict=True
    )
    cost = kind.build().describe()
    print(
        f"{kind.name}: test AUC {mean(tests):.4f} ± {stdev(tests):.4f}, validation "
        f"{mean(validations):.4f}; decay {best[0]}, network rate {best[1]}; "
        f"{cost.num_parameters:,} parameters, {cost.num_bytes:,} bytes, "
        f"{kind.vocabulary_bytes:,} of vocabulary; {time.perf_counter() - start:.0f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="DLRM on Frappe, tables and table-free.")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--dim", type=int, default=32, help="width of the embeddings")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = read(Path(os.environ["TABLEFREE_DATA"]) / "frappe")
    print(
        f"{len(data.train.ids):,} training events, {len(data.validation.ids):,} validation, "
        f"{len(data.test.ids):,} test; dim {arguments.dim}",
        flush=True,
    )
    for kind in kinds(data, arguments.dim):
        report(kind, arguments.seeds)


if __name__ == "__main__":
    main()
