"""The studies of `tablefree ablate`, as data: one factor each, and what each of its levels changes.

The bases are the paper's network over dense hashes (Kang et al., "Learning to Embed Categorical
Features without Embedding Tables for Recommendation", 2021) and this library's sketch. A
factor that matters to both has a study with each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tablefree.experiments.designs import Design

BASES = {
    "deep_hash": Design(),
    "sketch": Design("sketch", depth=1, norm="rms", skip=True),
}
"""Name of a method → the design that its variants change; its recipe is the method's default."""


@dataclass(frozen=True)
class Variant:
    """One level of a factor.

    Attributes:
        label: how it is shown.
        changes: fields of `Design` and of `Recipe` that differ from the base; none for the base
            itself, which all studies share.
        base: one of `BASES`; by default that of the study.
    """

    label: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None


@dataclass(frozen=True)
class Study:
    """One factor.

    Attributes:
        title: how it is shown.
        base: one of `BASES`, what all levels are compared with.
        variants: the levels, in the order in which they are shown.
    """

    title: str
    base: str
    variants: tuple[Variant, ...]

    @property
    def varies_size(self) -> bool:
        """Whether the factor is rows an id, so that the levels differ in their parameters."""
        return any("rows_per_id" in variant.changes for variant in self.variants)


def place(study: str, variant: Variant) -> tuple[str, str]:
    """The columns `study` and `variant` of a variant's runs; a base belongs to no study alone."""
    if variant.changes:
        return study, variant.label
    return "base", variant.base or STUDIES[study].base


def _levels(name: str, base: str, values: Mapping[str, Any]) -> tuple[Variant, ...]:
    """The base, and a variant for each label and value of one field."""
    return Variant(base), *(Variant(label, {name: value}) for label, value in values.items())


_ACTIVATIONS = _levels("activation", "Mish", {"ReLU": "relu", "GELU": "gelu"})
_DROPOUTS = _levels("dropout", "none", {"0.1": 0.1, "0.2": 0.2, "0.5": 0.5})
_SCHEDULES = _levels(
    "schedule",
    "linear",
    {"constant": "constant", "cosine": "cosine", "one cycle": "one_cycle"},
)
_BATCHES = _levels("batch_size", "default", {"256": 256, "1,024": 1024, "4,096": 4096})
_EPOCHS = _levels("max_epochs", "default", {"5": 5, "10": 10, "40": 40})
_LOADS = {"4": 4.0, "2": 2.0, "1": 1.0, "1/2": 0.5, "1/4": 0.25}  # rows an id

STUDIES: dict[str, Study] = {
    "encoding": Study(
        "Encoding",
        "deep_hash",
        (
            Variant("uniform"),
            Variant("Gaussian", {"code": "gaussian"}),
            Variant("±1", {"num_buckets": 2}),
            Variant("binary digits", {"code": "binary_digits"}),
            Variant("scaled id", {"code": "scaled_id"}),
            Variant("one-hot hash", {"code": "one_hot_hash"}),
            # Learned rows have the decoder and the recipe that suit them.
            Variant("sketch", base="sketch"),
            Variant("sketch + dense", {"dense": 16}, base="sketch"),
        ),
    ),
    "k": Study(
        "Hash functions, k",
        "deep_hash",
        _levels("num_hashes", "default", {str(k): k for k in (16, 64, 256, 1024)}),
    ),
    "m": Study(
        "Levels of a hash, m",
        "deep_hash",
        (
            *(Variant(f"2^{power}", {"num_buckets": 2**power}) for power in (2, 4, 8)),
            Variant("2^20"),
            Variant("2^24", {"num_buckets": 2**24}),
        ),
    ),
    "family": Study(
        "Hash family",
        "deep_hash",
        _levels("family", "multiply-shift", {"Carter-Wegman": "carter_wegman"}),
    ),
    "depth": Study(
        "Hidden layers",
        "deep_hash",
        (
            Variant("1", {"depth": 1}),
            Variant("2"),
            *(Variant(str(depth), {"depth": depth}) for depth in (3, 5, 10)),
        ),
    ),
    "activation": Study("Activation", "deep_hash", _ACTIVATIONS),
    "norm": Study(
        "Norm",
        "deep_hash",
        _levels("norm", "batch", {"layer": "layer", "RMS": "rms", "none": "none"}),
    ),
    "skip": Study("Skip", "deep_hash", _levels("skip", "none", {"linear": True})),
    "dropout": Study("Dropout", "deep_hash", _DROPOUTS),
    "decay": Study(
        "Decay of the network",
        "deep_hash",
        _levels("network_weight_decay", "tuned", {"0": 0.0, "0.01": 0.01, "0.1": 0.1, "1": 1.0}),
    ),
    "optimizer": Study("Optimizer", "deep_hash", _levels("optimizer", "Muon", {"AdamW": "adamw"})),
    "schedule": Study("Schedule", "deep_hash", _SCHEDULES),
    "batch": Study("Events a batch", "deep_hash", _BATCHES),
    "epochs": Study("Epochs", "deep_hash", _EPOCHS),
    "sketch-hashes": Study(
        "Hashes of a sketch, all rows shared",
        "sketch",
        _levels("num_hashes", "default", {str(number): number for number in (1, 2, 3, 4, 6)}),
    ),
    "sketch-depth": Study(
        "Hidden layers of a sketch",
        "sketch",
        (
            Variant("0", {"depth": 0, "skip": False}),  # linear, with or without
            Variant("1"),
            Variant("2", {"depth": 2}),
            Variant("3", {"depth": 3}),
        ),
    ),
    "sketch-activation": Study("Activation over a sketch", "sketch", _ACTIVATIONS),
    "sketch-norm": Study(
        "Norm over a sketch",
        "sketch",
        _levels("norm", "RMS", {"batch": "batch", "layer": "layer", "none": "none"}),
    ),
    "sketch-skip": Study(
        "Skip over a sketch", "sketch", _levels("skip", "linear", {"none": False})
    ),
    "sketch-dropout": Study("Dropout over a sketch", "sketch", _DROPOUTS),
    "sketch-decay": Study(
        "Decay of the rows",
        "sketch",
        _levels("weight_decay", "tuned", {"0": 0.0, "0.1": 0.1, "0.3": 0.3, "1": 1.0, "3": 3.0}),
    ),
    "sketch-optimizer": Study(
        "Optimizer over a sketch", "sketch", _levels("optimizer", "AdamW", {"Muon": "muon"})
    ),
    "sketch-schedule": Study("Schedule of a sketch", "sketch", _SCHEDULES),
    "sketch-batch": Study("Events a batch, sketch", "sketch", _BATCHES),
    "sketch-epochs": Study("Epochs of a sketch", "sketch", _EPOCHS),
    "load": Study(
        "Rows an id, each one's own", "sketch", _levels("rows_per_id", "default", _LOADS)
    ),
    "load-shared": Study(
        "Rows an id, all shared by 4 hashes",
        "sketch",
        (
            Variant("default"),
            *(
                Variant(label, {"rows_per_id": rows, "num_hashes": 4})
                for label, rows in _LOADS.items()
            ),
        ),
    ),
    "load-hashes": Study(
        "Half a row an id, by hashes",
        "sketch",
        (
            Variant("default"),
            Variant("own rows", {"rows_per_id": 0.5}),
            *(
                Variant(str(number), {"rows_per_id": 0.5, "num_hashes": number})
                for number in (1, 2, 4)
            ),
        ),
    ),
}
"""Name → the study; those of the sketch's own begin with its name, or with that of its load."""
