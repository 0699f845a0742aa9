"""Adam for rows, at the cost of the rows touched, equal to a dense step over all rows.

AdamW without the first moment (Loshchilov and Hutter, "Decoupled Weight Decay Regularization",
2019): under momentum every row would move at every step. Without it a row that no id looks up only
decays, and so does its second moment, all by the same factor: two scales hold that, one in `Rows`
and one here, so that no row lags behind, not even until it is looked up next.

A row may have one second moment, the mean of its numbers', which takes a 32nd of the memory where a
row has 32 of them (row-wise, as the Adagrad of Mudigere et al., "Software-Hardware Co-design for
Fast and Scalable Training of Deep Learning Recommendation Models", 2022, section 4.1.4).
"""

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tablefree.checks import check_choice
from tablefree.errors import InputError
from tablefree.rows.table import SMALLEST_SCALE, Rows, add, decay, flush

MOMENTS = ("number", "row")


class RowAdam(Optimizer):
    """`torch.optim.AdamW(betas=(0, beta2))` on the rows of `Rows`, from sparse gradients.

    A step costs the rows in the gradient. One in thousands goes over all rows, so that numbers stay
    in range: see `SMALLEST_SCALE`. So does every step on the weight of another module than `Rows`,
    which does not know of a scale.

    Rows in bfloat16 (see `tablefree.hold_rows`) are updated in float32 and rounded stochastically
    to what they are held in. With one moment a row they take 68 bytes where a row has 32 numbers,
    and 256 in float32 with a moment for each number.

    `state_dict()` puts the scales into the rows, so that a training that is resumed and the one
    that goes on have the same bits; save the model's state with it.

    Args:
        params: parameters or groups as of any torch optimizer; a `Rows` with `sparse=True` stands
            for its weight.
        lr: learning rate.
        beta2: what the second moment keeps of itself in a step.
        eps: added to the root of the second moment.
        weight_decay: decoupled, per unit of learning rate.
        moments: a second moment for each "number", or one for each "row".
        seed: of the rounding, from 0; a training that is resumed rounds as the one that goes on.

    Raises:
        InputError: an option out of its range, a module that is no sparse `Rows`, or rows in
            float16.

    Example:
        >>> rows = Rows(1000, 4, sparse=True)
        >>> optimizer = RowAdam([rows], lr=0.1, weight_decay=0.1)
        >>> rows(torch.tensor([3, 14])).square().sum().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Any,
        *,
        lr: float = 0.1,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        moments: str = "number",
        seed: int = 0,
    ) -> None:
        defaults = {"lr": lr, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "moments": moments, "seed": seed})

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # of a state from before they were options
            group.setdefault("moments", "number")
            group.setdefault("seed", 0)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, or `Rows`, with options of their own.

        Raises:
            InputError: an option out of its range, a module that is no sparse `Rows`, or rows in
                float16.
        """
        options = {**self.defaults, **param_group}
        check_choice("moments", options["moments"], MOMENTS)
        if options["seed"] < 0:
            raise InputError(f"seed must be at least 0, got {options['seed']}")
        for name, end in {"lr": inf, "weight_decay": inf, "eps": inf, "beta2": 1}.items():
            if not 0 <= options[name] < end:
                bound = "finite" if end == inf else f"below {end}"
                raise InputError(f"{name} must be at least 0 and {bound}, got {options[name]}")
        params = param_group["params"]
        params = [params] if isinstance(params, nn.Module | Tensor) else list(params)
        super().add_param_group({**param_group, "params": list(map(_weight, params))})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the rows in the gradients and let all others decay.

        Raises:
            InputError: a gradient that is not sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        of_groups = [(weight, group) for group in self.param_groups for weight in group["params"]]
        for number, (weight, group) in enumerate(of_groups):
            if weight.grad is not None:
                self._update(weight, weight.grad, group, number)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """As every optimizer's; the rows have no scale after it."""
        for group in self.param_groups:
            for weight in group["params"]:
                flush(weight)
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As every optimizer's; moments stay as exact as they were, whatever rows are held in."""
        super().load_state_dict(state_dict)
        # Torch has cast them to the dtype of the weights.
        names = [name for group in state_dict["param_groups"] for name in group["params"]]
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for name, weight in zip(names, weights, strict=True):
            if name in state_dict["state"]:
                moment = state_dict["state"][name]["second_moment"]
                self.state[weight]["second_moment"] = moment.to(weight.device, _exact(weight))

    def _update(
        self, weight: nn.Parameter, gradient: Tensor, group: dict[str, Any], number: int
    ) -> None:
        if not gradient.is_sparse:
            raise InputError("RowAdam needs sparse gradients, got a dense one: do not add to it")
        gradient = gradient.coalesce()
        touched, values = gradient.indices()[0], gradient.values().to(_exact(weight))
        squares = values.square()
        if group["moments"] == "row":
            squares = squares.mean(1, keepdim=True)
        moments = self._second_moments(weight, touched, squares, group["beta2"])
        step = self.state[weight]["step"]
        moments /= 1 - group["beta2"] ** step
        learning_rate = float(group["lr"])
        # Nothing but these numbers decides about chance: there is no state to save.
        random = np.random.SeedSequence((group["seed"], number, step))
        of_decay, of_addition = random.generate_state(2).tolist()
        decay(weight, 1 - learning_rate * group["weight_decay"], of_decay)
        steps = values / (moments.sqrt_() + group["eps"]) * -learning_rate
        add(weight, touched, steps, of_addition)

    def _second_moments(
        self, weight: nn.Parameter, touched: Tensor, squares: Tensor, beta2: float
    ) -> Tensor:
        """Move all second moments, those of touched rows towards their squares: return these."""
        state = self.state[weight]
        if not state:
            # The moments are scale * second_moment.
            state["step"], state["scale"] = 0, 1.0
            state["second_moment"] = squares.new_zeros(weight.shape[0], squares.shape[1])
        state["step"] += 1
        state["scale"] *= beta2
        if state["scale"] < SMALLEST_SCALE:
            state["second_moment"].mul_(state["scale"])
            state["scale"] = 1.0
        moments: Tensor = state["second_moment"].index_select(0, touched).mul_(state["scale"])
        moments.add_(squares, alpha=1 - beta2)
        state["second_moment"].index_copy_(0, touched, moments / state["scale"])
        return moments


def _exact(weight: Tensor) -> torch.dtype:
    """What a weight is computed in."""
    return torch.promote_types(weight.dtype, torch.float32)


def _weight(parameter: nn.Module | Tensor) -> Tensor:
    if isinstance(parameter, nn.Module):
        if not isinstance(parameter, Rows) or not parameter.sparse:
            raise InputError(
                f"RowAdam trains tablefree.Rows with sparse=True, got {type(parameter).__name__}"
            )
        parameter = parameter.weight
    if parameter.dtype == torch.float16:
        raise InputError(
            "RowAdam does not train rows in float16, whose range is too small: cast the model by "
            ".float(), and hold its rows in bfloat16 by tablefree.hold_rows(model)"
        )
    return parameter
