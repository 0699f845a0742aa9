"""The decoder of codes: hidden layers of Linear, norm, activation, then a plain Linear.

The network of Deep Hash Embedding (Kang et al., "Learning to Embed Categorical Features without
Embedding Tables for Recommendation", 2021), with an optional linear skip (He et al., "Deep Residual
Learning for Image Recognition", 2016). Its output has neither norm nor activation.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tablefree.checks import check_choice, check_memory, check_positive
from tablefree.errors import InputError
from tablefree.kernels import op
from tablefree.scales import INITIAL_STD, UNIFORM_STD


class Mish(nn.Module):
    """`nn.Mish`, x tanh(ln(1 + e^x)), four times as fast on a CPU.

    Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019. Compiled graphs get
    torch's, which their compilers fuse; so do other devices and dtypes.
    """

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Apply to each value."""
        is_fast = values.device.type == "cpu" and values.dtype in (torch.float32, torch.bfloat16)
        if is_fast and not torch.compiler.is_compiling():
            activated: Tensor = op.mish(values)
            return activated
        return F.mish(values)


# Each activation with its gain: 1 / sqrt(E[f(z)^2]) for a standard normal z, so that a layer keeps
# the scale of its input (Kaiming initialisation, He et al. 2015, for any activation).
ACTIVATIONS: dict[str, tuple[type[nn.Module], float]] = {
    "mish": (Mish, 1.4868),
    "relu": (nn.ReLU, 1.4142),
    "gelu": (nn.GELU, 1.5335),
}
NORMS: dict[str, Callable[[int], nn.Module] | None] = {
    "batch": lambda width: BatchNorm(width),
    "layer": nn.LayerNorm,
    "rms": lambda width: RMSNorm(width, eps=RMS_EPS),
    "none": None,
}
# So large that what decay has made small stays small: the size of a code tells how much is known of
# its id. With 1e-6 a code of three numbers loses .01 of AUC on sparse data.
RMS_EPS = 0.1


class RMSNorm(nn.RMSNorm):
    """`nn.RMSNorm` in the dtype of its rows, which autocast may have narrowed."""

    def forward(self, rows: Float[Tensor, "n features"]) -> Float[Tensor, "n features"]:
        """Divide each row by its root mean square, and scale each feature."""
        return F.rms_norm(rows, self.normalized_shape, self.weight.to(rows.dtype), self.eps)


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` that also takes fewer than two rows in training.

    They have no variance of their own, so they are normalised by the running statistics, which
    they leave as they are.

    Attributes:
        counts: whether a training batch moves the running statistics.
    """

    counts = True

    def forward(self, rows: Float[Tensor, "n features"]) -> Float[Tensor, "n features"]:
        """Normalise each feature over the rows."""
        if self.training and rows.shape[0] < 2:
            return F.batch_norm(
                rows, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if self.training and not self.counts:
            assert self.running_mean is not None
            assert self.running_var is not None
            statistics = self.running_mean.clone(), self.running_var.clone()
            return F.batch_norm(
                rows, *statistics, self.weight, self.bias, training=True, eps=self.eps
            )
        if not self.training and torch.compiler.is_compiling():
            # `F.batch_norm` asks whether there are rows, which is not known of distinct ids then.
            assert self.running_mean is not None
            assert self.running_var is not None
            factor = self.weight.float() * torch.rsqrt(self.running_var.float() + self.eps)
            return ((rows - self.running_mean) * factor + self.bias).to(rows.dtype)
        return super().forward(rows)


class EmbeddingNetwork(nn.Module):
    """Turns codes into embeddings.

    Every hidden layer is Linear, norm, activation and dropout; a plain Linear ends the network.
    Linear layers keep their bias before batch norm too, as in the paper's count of parameters. A
    skip is a linear map, without bias, from the code straight to the embedding. Weights start so
    that embeddings have the common initial scale.

    Args:
        in_features: width of a code.
        embedding_dim: width of an embedding.
        hidden: widths of the hidden layers; empty for one linear map.
        activation: "mish", "relu" or "gelu".
        norm: "batch" (Ioffe and Szegedy, 2015), "layer" (Ba et al., 2016), "rms" (Zhang and
            Sennrich, 2019) or "none".
        dropout: share of hidden units dropped in training, at least 0 and below 1.
        skip: whether there is a skip; not without a hidden layer, where it would add nothing.
        code_std: standard deviation of a code's components, for the initial weights.

    Raises:
        InputError: a size below 1, an unknown name, a dropout out of range, or a skip over nothing.

    Example:
        >>> network = EmbeddingNetwork(1024, 32, hidden=(512, 512))
        >>> network(torch.rand(8, 1024)).shape
        torch.Size([8, 32])
    """

    def __init__(
        self,
        in_features: int,
        embedding_dim: int,
        *,
        hidden: Sequence[int],
        activation: str = "mish",
        norm: str = "batch",
        dropout: float = 0.0,
        skip: bool = False,
        code_std: float = UNIFORM_STD,
    ) -> None:
        super().__init__()
        check_positive(in_features=in_features, embedding_dim=embedding_dim)
        for width in hidden:
            check_positive(hidden=width)
        check_choice("activation", activation, tuple(ACTIVATIONS))
        check_choice("norm", norm, tuple(NORMS))
        if not 0 <= dropout < 1:
            raise InputError(f"dropout must be at least 0 and below 1, got {dropout}")
        if skip and not hidden:
            raise InputError("a network without hidden layers is linear already: use skip=False")
        activate, gain = ACTIVATIONS[activation]
        make_norm = NORMS[norm]
        self.activation = activation
        self.hidden = nn.Sequential()
        width, scale = in_features, 1 / code_std
        for next_width in hidden:
            self.hidden.append(_linear(width, next_width, scale))
            if make_norm is not None:
                self.hidden.append(make_norm(next_width))
            self.hidden.append(activate())
            if dropout:
                self.hidden.append(nn.Dropout(dropout))
            width, scale = next_width, gain
        output_std = INITIAL_STD * 0.5**0.5 if skip else INITIAL_STD
        self.output = _linear(width, embedding_dim, scale * output_std)
        self.skip: nn.Linear | None = None
        if skip:
            self.skip = nn.Linear(in_features, embedding_dim, bias=False)
            nn.init.normal_(self.skip.weight, std=output_std / code_std / in_features**0.5)

    def forward(self, codes: Float[Tensor, "n in_features"]) -> Float[Tensor, "n embedding_dim"]:
        """Embed each code, in the dtype of the weights."""
        codes = codes.to(self.output.weight.dtype)
        embeddings: Tensor = self.output(self.hidden(codes))
        return embeddings if self.skip is None else embeddings + self.skip(codes)

    def output_weights(self) -> list[Tensor]:
        """Weights whose common factor is one of the embeddings: the last layer's, the skip's."""
        skip = [] if self.skip is None else [self.skip.weight]
        return [*self.output.parameters(), *skip]

    def recomputed(
        self, encode: Callable[[Tensor], Tensor], ids: Int[Tensor, " n"]
    ) -> Float[Tensor, "n embedding_dim"]:
        """Embed `encode(ids)`, keeping only the output of each hidden layer for the backward pass.

        The code, norms and activations are computed again then (Chen et al., "Training Deep Nets
        with Sublinear Memory Cost", 2016).
        """

        def codes(ids: Tensor) -> Tensor:
            return encode(ids).to(self.output.weight.dtype)

        first, *others = [*self._blocks(), self.output]
        rows = self._checkpoint(lambda ids: first(codes(ids)), ids)
        for block in others:
            rows = self._checkpoint(block, rows)
        if self.skip is not None:
            skip = self.skip
            rows = rows + self._checkpoint(lambda ids: skip(codes(ids)), ids)
        return rows

    def _blocks(self) -> list[nn.Sequential]:
        """The hidden layers: a Linear each, and what follows it."""
        starts = [i for i, layer in enumerate(self.hidden) if isinstance(layer, nn.Linear)]
        layers = list(self.hidden)
        return [nn.Sequential(*layers[a:b]) for a, b in pairwise([*starts, len(layers)])]

    def _checkpoint(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        contexts = nullcontext(), self._second_pass()
        result: Tensor = checkpoint(
            function, rows, use_reentrant=False, context_fn=lambda: contexts
        )
        return result

    @contextmanager
    def _second_pass(self) -> Iterator[None]:
        """Within, a training batch does not move the running statistics: it has done so before."""
        norms = [module for module in self.modules() if isinstance(module, BatchNorm)]
        for norm in norms:
            norm.counts = False
        try:
            yield
        finally:
            for norm in norms:
                norm.counts = True

    @property
    def code_dtype(self) -> torch.dtype:
        """The dtype of codes that is the fastest to take here and now; others are converted."""
        device = self.output.weight.device.type
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        else:
            dtype = self.output.weight.dtype
        return torch.bfloat16 if dtype == torch.bfloat16 else torch.float32

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one code: those of the linear layers, batch norm folded into them."""
        return sum(m.weight.numel() for m in self.modules() if isinstance(m, nn.Linear))


def _linear(in_features: int, out_features: int, scale: float) -> nn.Linear:
    check_memory(in_features, out_features)
    linear = nn.Linear(in_features, out_features)
    nn.init.normal_(linear.weight, std=scale / in_features**0.5)
    nn.init.zeros_(linear.bias)
    return linear
