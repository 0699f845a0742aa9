"""Results of comparisons that nobody ran, as fixtures."""

import json
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from optuna.distributions import FloatDistribution, distribution_to_json

from tablefree.embeddings.quantize import BITS
from tablefree.experiments import forms
from tablefree.experiments.results import SCHEMA

# Test AUC at 1/4 and the loss at each halving of the size: invented, in a plausible order.
INVENTED = {
    "narrow_table": (0.917, 0.010),
    "deep_hash": (0.907, 0.008),
    "hybrid_hash": (0.904, 0.014),
    "hash_embedding": (0.896, 0.015),
    "multi_hash": (0.885, 0.020),
    "quotient_remainder": (0.880, 0.022),
    "hashing_trick": (0.862, 0.025),
}
VOCABULARY = {"full_table", "narrow_table", "quotient_remainder"}
FULL_PARAMETERS = 312_000
# Form → its share of the bytes of the rows in float32, and the AUC that it costs: invented too.
FORMS = {
    "int8": (0.28, 0.0002),
    "levels-4": (0.13, 0.0010),
    "residual-8x8": (0.08, 0.0015),
    "residual-4x8": (0.045, 0.0030),
    "residual-2x8": (0.025, 0.0080),
}
RATES = json.loads(distribution_to_json(FloatDistribution(0.003, 0.3, log=True)))


def invented_run(method: str, size: float, seed: int, **changes: object) -> dict[str, object]:
    """A row for `append_result`, with plausible figures; `changes` overrides columns."""
    rng = np.random.default_rng([len(method), round(1 / size), seed])
    best, loss = INVENTED.get(method, (0.931, 0.0))
    auc = best - loss * np.log2(0.25 / min(size, 0.25)) + rng.normal(0, 0.0008)
    parameters = round(FULL_PARAMETERS * size)
    vocabulary = 195_000 if method in VOCABULARY else 0
    work = {"deep_hash": 3 * parameters // 4, "narrow_table": 256, "hash_embedding": 64}
    run: dict[str, object] = {
        "dataset": "ml-1m",
        "data_digest": "0123456789abcdef",
        "notes": "",
        "split": "random",
        "study": "",
        "variant": "",
        "design": "",
        "method": method,
        "model": "gmf",
        "size": size,
        "seed": seed,
        "trial": 2,
        "pruned": False,
        "users": "id",
        "side_features": "none",
        "decoder": "",
        "num_parameters": parameters,
        "num_bytes": 4 * parameters,
        "vocabulary_bytes": vocabulary,
        "multiply_adds": work.get(method, 0),
        "code_width": None,
        "learning_rate": 0.03,
        "network_learning_rate": 0.003,
        "weight_decay": 0.1,
        "network_weight_decay": 0.0,
        "search_space": json.dumps({"learning_rate": RATES}),
        "optimizer": "adamw",
        "schedule": "linear",
        "precision": "float32",
        "batch_size": 4096,
        "max_epochs": 20,
        "patience": 2,
        "embedding_dim": 32,
        "epochs": 14,
        "best_epoch": 11,
        "validation_curve": [auc - 0.05, auc + 0.001],
        "validation_auc": auc + 0.001,
        "test_auc": auc,
        "test_log_loss": 0.31,
        "calibration_error": 0.01,
        "test_auc_head": auc - 0.03,
        "test_auc_middle": auc - 0.05,
        "test_auc_tail": auc - 0.09,
        "test_auc_unseen": 0.55 + rng.normal(0, 0.01),
        "hit_rate_10": auc - 0.15,
        "ndcg_10": auc - 0.42,
        "recall_20": auc - 0.7,
        "ndcg_20": auc - 0.75,
        "validation_auc_float16": auc + 0.001,
        "validation_auc_int8": auc + 0.0008,
        "validation_auc_int4": auc - 0.003,
        "validation_auc_codebook": auc - 0.004,
        "test_auc_float16": auc,
        "test_auc_int8": auc - 0.0002,
        "test_auc_int4": auc - 0.004,
        "test_auc_codebook": auc - 0.005,
        **{
            f"deployed_bytes_{dtype}": parameters * bits // 8 + vocabulary
            for dtype, bits in BITS.items()
        },
        "milliseconds_per_id": {"deep_hash": 0.004}.get(method, 0.00012) * (1 + size),
        "train_seconds": 130.0,
        "num_users": 6040,
        "num_items": 3706,
        "num_train_events": 900_189,
        "configuration": json.dumps({"method": method}),
        "versions": json.dumps({"torch": "2.10.0", "tablefree": "0.1.0"}),
        "machine": "2 cores, 8 GB",
        "finished_at": "2026-01-02T03:04:05+00:00",
    }
    return run | changes


def invented_table(rows: list[dict[str, object]]) -> pl.DataFrame:
    """The results that hold these rows, each selected unless it says otherwise."""
    return pl.DataFrame([{"selected": True} | row for row in rows], schema=SCHEMA)


def invented_runs(sizes: tuple[float, ...], seeds: int, **changes: object) -> pl.DataFrame:
    """A whole comparison, with a trial that lost beside every selected run."""
    settings = [("full_table", 1.0), *((method, size) for size in sizes for method in INVENTED)]
    rows = [
        invented_run(method, size, seed, **trial | changes)
        for method, size in settings
        for seed in range(seeds)
        for trial in ({}, {"selected": False, "trial": 3, "learning_rate": 0.3, "test_auc": 0.5})
    ]
    return invented_table(rows)


def invented_forms(
    results: pl.DataFrame, ratios: tuple[float, ...] = (1 / 8, 1 / 16), **changes: object
) -> pl.DataFrame:
    """The packed forms of the selected runs, for budgets of these ratios to the full table."""
    full = 4 * FULL_PARAMETERS + 195_000
    rows: list[dict[str, object]] = []
    for run in results.filter("selected").to_dicts():
        of_run = {name: run[name] for name in forms.SCHEMA if name in run}
        of_run |= {"training_bytes": 3 * run["num_bytes"], "recall_20": None, "chosen": False}
        whole = {"form": "float32", "deployed_bytes": run["num_bytes"] + run["vocabulary_bytes"]}
        rows.append(of_run | whole)
        for budget in (round(ratio * full) for ratio in ratios):
            is_first = True
            for form, (share, loss) in FORMS.items():
                size = round(share * run["num_bytes"]) + run["vocabulary_bytes"]
                if size > budget:
                    continue
                aucs = {name: run[name] - loss for name in ("validation_auc", "test_auc")}
                best = {"chosen": True, "recall_20": run["recall_20"]} if is_first else {}
                packed = {"form": form, "budget_bytes": budget, "deployed_bytes": size}
                rows.append(of_run | packed | aucs | best | changes)
                is_first = False
    return pl.DataFrame(rows, schema=forms.SCHEMA)


@pytest.fixture
def run() -> Callable[..., dict[str, object]]:
    return invented_run


@pytest.fixture
def table() -> Callable[..., pl.DataFrame]:
    return invented_table


@pytest.fixture
def runs() -> Callable[..., pl.DataFrame]:
    return invented_runs


@pytest.fixture
def packed() -> Callable[..., pl.DataFrame]:
    return invented_forms
