"""The optimizers of a recipe: AdamW, rows and networks apart, and Muon for hidden matrices.

Rows that ids look up want a high rate, strong decay and no first moment, which would go on moving
them when nobody looks them up; networks want a rate ten times lower and little decay. AdamW:
Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019. Muon: Jordan et al., 2024; its
updates are scaled to the size of AdamW's (Liu et al., "Muon is Scalable for LLM Training", 2025),
so that one learning rate serves both.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from tablefree.checks import check_choice
from tablefree.errors import InputError
from tablefree.network import EmbeddingNetwork
from tablefree.rows import RowAdam
from tablefree.rows.adam import MOMENTS

OPTIMIZERS = ("adamw", "muon")
ROW_BETAS = (0.0, 0.999)


class Optimizers(Optimizer):
    """Several optimizers that are used as one: in a loop, by schedules, in Lightning.

    Iterating gives the parts. A state dict has theirs.

    Args:
        parts: optimizers of different parameters.
    """

    parts: list[Optimizer]

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.__setstate__({"parts": list(parts), "defaults": {}})

    def __getstate__(self) -> dict[str, Any]:
        return {"parts": self.parts, "defaults": self.defaults}

    def __iter__(self) -> Iterator[Optimizer]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        """The groups of all parts, which a schedule may change."""
        return [group for part in self.parts for group in part.param_groups]

    @property
    def state(self) -> dict[Tensor, Any]:  # type: ignore[override]
        """The state of each parameter that has one."""
        return {key: value for part in self.parts for key, value in part.state.items()}

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step of each part."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part in self.parts:
            part.step()
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Not to be used.

        Raises:
            InputError: always, for it is not clear which part is meant.
        """
        raise InputError(
            f"which of the {len(self.parts)} optimizers is to train "
            f"{len(param_group['params'])} more parameters? Add them to one of "
            "list(optimizers), or call tablefree.optimizers again"
        )

    def state_dict(self) -> dict[str, Any]:
        """The state of each part."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back what `state_dict` gave.

        Raises:
            InputError: a state of other optimizers.
        """
        states = state_dict.get("parts", ())
        if len(states) != len(self.parts):
            raise InputError(
                f"the state is of {len(states)} optimizers, and these are {len(self.parts)}: call "
                "tablefree.optimizers as in the training that is resumed"
            )
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def optimizers(
    model: nn.Module,
    *,
    learning_rate: float = 0.03,
    weight_decay: float = 0.3,
    network_learning_rate: float = 0.01,
    network_weight_decay: float = 0.0,
    optimizer: str = "adamw",
    row_moments: str = "number",
) -> Optimizers:
    """All that trains a model, as one optimizer.

    Rows that ids look up have rates of their own, and `RowAdam` where their gradients are sparse;
    networks have AdamW, or Muon for their hidden matrices.

    Args:
        model: any module, with table-free embeddings, tables, both or neither in it.
        learning_rate: see `parameter_groups`, as all that follow.
        weight_decay: of the rows.
        network_learning_rate: of everything else.
        network_weight_decay: of the matrices of everything else.
        optimizer: "adamw" or "muon".
        row_moments: of rows with sparse gradients, a second moment for each "number", or one for
            each "row", which takes less memory (see `tablefree.hold_rows`); where ids have
            hundreds of events, at a third of the learning rate.

    Raises:
        InputError: an unknown optimizer or kind of moments, a rate or decay that is negative or not
            finite, a model without parameters, or a moment for each row where gradients are dense.

    Example:
        >>> optimizer = optimizers(model)  # doctest: +SKIP
        >>> loss.backward()  # doctest: +SKIP
        >>> optimizer.step()  # doctest: +SKIP
    """
    parts = build_optimizers(
        model,
        optimizer,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        network_learning_rate=network_learning_rate,
        network_weight_decay=network_weight_decay,
        row_moments=row_moments,
    )
    if not parts:
        raise InputError("this model has no parameters to train: freeze a copy of it instead")
    return Optimizers(parts)


def parameter_groups(
    model: nn.Module,
    *,
    learning_rate: float = 0.03,
    weight_decay: float = 0.3,
    network_learning_rate: float = 0.01,
    network_weight_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """The parameters of a model as groups for any torch optimizer with decoupled decay.

    Args:
        model: any module, with table-free embeddings, tables, both or neither in it.
        learning_rate: of the rows that ids look up: weights of `nn.Embedding` and
            `nn.EmbeddingBag`, which sketches and hashed tables are made of.
        weight_decay: of the rows, per unit of learning rate; the fewer events an id has, the more:
            `tablefree compare` begins with 2.7 over the root of their number.
        network_learning_rate: of everything else.
        network_weight_decay: of the matrices of everything else; biases and norms have none.

    Returns:
        Up to three groups, each with a `name`: "rows", "matrices" and "vectors"; the rows' has
        `betas` without a first moment. Let all rates fall to zero over the training.

    Raises:
        InputError: rows with sparse gradients, which such an optimizer does not take.

    Example:
        >>> torch.optim.AdamW(parameter_groups(model))  # doctest: +SKIP
    """
    if sparse := _sparse_rows(model):
        raise InputError(
            f"{len(sparse)} of the weights have sparse gradients, which no torch optimizer with "
            "decoupled decay takes: use tablefree.optimizers(model), or build with sparse=False"
        )
    return _groups(model, learning_rate, weight_decay, network_learning_rate, network_weight_decay)


def build_optimizers(
    model: nn.Module,
    name: str,
    *,
    learning_rate: float,
    weight_decay: float,
    network_learning_rate: float,
    network_weight_decay: float,
    row_moments: str = "number",
) -> list[Optimizer]:
    """Optimizers that together update every parameter of a model once.

    Rows with sparse gradients are updated by `RowAdam`, which comes to the same at the cost of the
    rows touched.

    Args:
        model: any module; its hidden matrices are those of the `EmbeddingNetwork`s in it.
        name: "adamw", or "muon" for Muon on the hidden matrices and AdamW on all else.
        learning_rate: of the rows (see `parameter_groups`).
        weight_decay: of the rows, decoupled, per unit of learning rate.
        network_learning_rate: of everything else.
        network_weight_decay: of the matrices of everything else.
        row_moments: see `optimizers`.

    Raises:
        InputError: an unknown name, or a moment for each row where gradients are dense.
    """
    check_choice("optimizer", name, OPTIMIZERS)
    check_choice("row_moments", row_moments, MOMENTS)
    groups = _groups(
        model, learning_rate, weight_decay, network_learning_rate, network_weight_decay
    )
    hidden = _hidden_matrices(model) if name == "muon" else []
    sparse = _sparse_rows(model)
    if row_moments == "row" and (num_dense := len(rows_of(model)) - len(sparse)):
        raise InputError(
            f"{num_dense} of the weights that ids look up have dense gradients, and a moment for "
            "each row is for sparse ones: call tablefree.hold_rows(model) first, or build with "
            "sparse=True"
        )
    chosen = {id(parameter) for parameter in (*hidden, *sparse)}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in chosen]
    groups = [group for group in groups if group["params"]]
    optimizers: list[Optimizer] = [AdamW(groups, fused=True)] if groups else []
    if sparse:
        optimizers.append(
            RowAdam(sparse, lr=learning_rate, weight_decay=weight_decay, moments=row_moments)
        )
    if hidden:
        optimizers.append(
            Muon(
                hidden,
                lr=network_learning_rate,
                weight_decay=network_weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return optimizers


def training_bytes(model: nn.Module, *optimizers: Optimizer) -> int:
    """Bytes that a training holds between steps: parameters, buffers, and what optimizers keep.

    Gradients and activations come on top during a step, and `fit` keeps a copy of the best weights.

    Args:
        model: any module.
        optimizers: of its parameters, which have taken a step: before it they keep nothing.
    """
    states = (state for one in optimizers for state in one.state.values())
    kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    every = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers(), *kept)}
    return sum(tensor.nbytes for tensor in every.values())


def rows_of(model: nn.Module) -> list[nn.Parameter]:
    """The parameters whose rows ids look up, each once."""
    weights = (next(lookup.parameters()) for lookup in _lookups(model))
    return list(dict.fromkeys(weights))


def _groups(
    model: nn.Module, lr: float, decay: float, network_lr: float, network_decay: float
) -> list[dict[str, Any]]:
    for value in (lr, decay, network_lr, network_decay):
        if not 0 <= value < 1e38:  # the end of float32
            raise InputError(f"rates and decays must be at least 0 and finite, got {value}")
    rows = rows_of(model)
    in_rows, without_decay = set(map(id, rows)), _without_decay(model)
    others = [p for p in model.parameters() if id(p) not in in_rows]
    groups: list[dict[str, Any]] = [
        {"name": "rows", "params": rows, "lr": lr, "weight_decay": decay, "betas": ROW_BETAS},
        {
            "name": "matrices",
            "params": [p for p in others if id(p) not in without_decay],
            "lr": network_lr,
            "weight_decay": network_decay,
        },
        {
            "name": "vectors",
            "params": [p for p in others if id(p) in without_decay],
            "lr": network_lr,
            "weight_decay": 0.0,
        },
    ]
    return [group for group in groups if group["params"]]


def _without_decay(model: nn.Module) -> set[int]:
    """Biases, and gains of norms, in stacks of many features too; and all vectors."""
    return {
        id(parameter)
        for module in model.modules()
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.ndim < 2 or "bias" in name or "norm" in type(module).__name__.lower()
    }


def _lookups(model: nn.Module) -> list[nn.Embedding | nn.EmbeddingBag]:
    return [m for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]


def _sparse_rows(model: nn.Module) -> list[nn.Parameter]:
    """The weights whose gradients are sparse, each once."""
    weights = (next(lookup.parameters()) for lookup in _lookups(model) if lookup.sparse)
    return list(dict.fromkeys(weights))


def _hidden_matrices(model: nn.Module) -> list[Tensor]:
    return [
        layer.weight
        for network in model.modules()
        if isinstance(network, EmbeddingNetwork)
        for layer in network.hidden.modules()
        if isinstance(layer, nn.Linear)
    ]
