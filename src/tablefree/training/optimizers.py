"""The optimizers of a recipe: AdamW for everything, or Muon for the hidden matrices beside it.

AdamW: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019. Muon: Jordan et al.,
2024; its updates are scaled to the size of AdamW's (Liu et al., "Muon is Scalable for LLM
Training", 2025), so that one learning rate serves both.
"""

from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from tablefree.network import EmbeddingNetwork, check_choice

OPTIMIZERS = ("adamw", "muon")


def build_optimizers(
    model: nn.Module, name: str, *, learning_rate: float, weight_decay: float
) -> list[Optimizer]:
    """Optimizers that together update every parameter of a model once.

    Args:
        model: any module; its hidden matrices are those of the `EmbeddingNetwork`s in it.
        name: "adamw", or "muon" for Muon on the hidden matrices and AdamW on all else.
        learning_rate: of every parameter.
        weight_decay: decoupled, per unit of learning rate.

    Raises:
        InputError: an unknown name.
    """
    check_choice("optimizer", name, OPTIMIZERS)
    hidden = _hidden_matrices(model) if name == "muon" else []
    chosen = {id(matrix) for matrix in hidden}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    optimizers: list[Optimizer] = [
        AdamW(rest, lr=learning_rate, weight_decay=weight_decay, fused=True)
    ]
    if hidden:
        optimizers.append(
            Muon(
                hidden,
                lr=learning_rate,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return optimizers


def _hidden_matrices(model: nn.Module) -> list[Tensor]:
    return [
        layer.weight
        for network in model.modules()
        if isinstance(network, EmbeddingNetwork)
        for layer in network.hidden.modules()
        if isinstance(layer, nn.Linear)
    ]
