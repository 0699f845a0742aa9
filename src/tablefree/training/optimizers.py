"""The optimizers of a recipe: AdamW, rows and networks apart, and Muon for hidden matrices.

Rows that ids look up want a high rate, strong decay and no first moment, which would go on moving
them when nobody looks them up; networks want a rate ten times lower and little decay. AdamW:
Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019. Muon: Jordan et al., 2024; its
updates are scaled to the size of AdamW's (Liu et al., "Muon is Scalable for LLM Training", 2025),
so that one learning rate serves both.
"""

from typing import Any

from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from tablefree.network import EmbeddingNetwork, check_choice
from tablefree.rows import Rows
from tablefree.training.row_optimizer import RowAdam

OPTIMIZERS = ("adamw", "muon")
ROW_BETAS = (0.0, 0.999)


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

    Example:
        >>> torch.optim.AdamW(parameter_groups(model))  # doctest: +SKIP
    """
    rows = rows_of(model)
    in_rows = {id(row) for row in rows}
    others = [p for p in model.parameters() if id(p) not in in_rows]
    matrices, vectors = [p for p in others if p.ndim > 1], [p for p in others if p.ndim < 2]
    network = {"lr": network_learning_rate}
    groups: list[dict[str, Any]] = [
        {"params": rows, "lr": learning_rate, "weight_decay": weight_decay, "betas": ROW_BETAS},
        {"params": matrices, **network, "weight_decay": network_weight_decay},
        {"params": vectors, **network, "weight_decay": 0.0},
    ]
    names = ("rows", "matrices", "vectors")
    return [
        {"name": name, **group}
        for name, group in zip(names, groups, strict=True)
        if group["params"]
    ]


def build_optimizers(
    model: nn.Module,
    name: str,
    *,
    learning_rate: float,
    weight_decay: float,
    network_learning_rate: float,
    network_weight_decay: float,
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

    Raises:
        InputError: an unknown name.
    """
    check_choice("optimizer", name, OPTIMIZERS)
    groups = parameter_groups(
        model,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        network_learning_rate=network_learning_rate,
        network_weight_decay=network_weight_decay,
    )
    hidden = _hidden_matrices(model) if name == "muon" else []
    sparse = [m for m in model.modules() if isinstance(m, Rows) and m.sparse]
    chosen = {id(parameter) for parameter in (*hidden, *(rows.weight for rows in sparse))}
    for group in groups:
        group["params"] = [p for p in group["params"] if id(p) not in chosen]
    groups = [group for group in groups if group["params"]]
    optimizers: list[Optimizer] = [AdamW(groups, fused=True)] if groups else []
    if sparse:
        optimizers.append(RowAdam(sparse, lr=learning_rate, weight_decay=weight_decay))
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


def rows_of(model: nn.Module) -> list[nn.Parameter]:
    """The parameters whose rows ids look up, each once."""
    lookups = (m for m in model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag))
    weights = (next(lookup.parameters()) for lookup in lookups)
    return list(dict.fromkeys(weights))


def _hidden_matrices(model: nn.Module) -> list[Tensor]:
    return [
        layer.weight
        for network in model.modules()
        if isinstance(network, EmbeddingNetwork)
        for layer in network.hidden.modules()
        if isinstance(layer, nn.Linear)
    ]
