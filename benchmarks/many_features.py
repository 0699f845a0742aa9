"""Many features at once: `EmbeddingCollection` against the bare batched products of its networks.

Every feature has a small network and 2,048 distinct ids, the case without any saving. The bare
products take ready-made codes: `torch.baddbmm` and Mish, in torch's version (the target of 1.3) and
in ours, which is the stricter comparison. Evaluation is without gradients. A training step is
forward and backward with batch norm, for which the bare network uses torch's: all features side by
side in one call, at the price of two transpositions.

Operators are those that the profiler sees in a call on a tensor with a feature a column, views and
allocations among them, for 2 and for all features; their number grows with the batch, which is
embedded in tiles. A mapping by name adds a few views a feature.

Run: python benchmarks/many_features.py [--features 26 --batch 2048]
"""

import argparse
from collections.abc import Callable
from itertools import repeat
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from tablefree.bench.timing import alternate
from tablefree.embeddings.collection import EmbeddingCollection
from tablefree.embeddings.stacked import StackedNetwork
from tablefree.kernels import many_op
from tablefree.machine import describe_machine
from tablefree.network import Mish

SHAPE = {"method": "deep_hash", "embedding_dim": 16, "num_hashes": 256, "hidden": [128, 128]}
CPU = torch.device("cpu")


def collection_of(num_features: int) -> EmbeddingCollection:
    return EmbeddingCollection({f"feature_{number}": SHAPE for number in range(num_features)})


class BareProducts(nn.Module):
    """The products of a stacked network with ready-made codes, and its activation."""

    def __init__(self, network: StackedNetwork, activate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        layers = network.folded()
        self.weights = nn.ParameterList(weight.detach().clone() for weight, _ in layers)
        self.biases = nn.ParameterList(bias.detach().clone() for _, bias in layers)
        self.activate = activate

    def forward(self, codes: Tensor) -> Tensor:
        """Embed codes [F, n, k]; in training with batch norm over n."""
        rows = codes
        last = len(self.weights) - 1
        for position, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            rows = torch.baddbmm(bias[:, None], rows, weight.mT)
            if position < last:
                rows = self.activate(self._norm(rows) if self.training else rows)
        return rows

    def _norm(self, rows: Tensor) -> Tensor:
        features, n, width = rows.shape
        flat = rows.transpose(0, 1).reshape(n, features * width)
        normalised = F.batch_norm(flat, None, None, training=True)
        return normalised.view(n, features, width).transpose(0, 1)


def without_gradients(module: nn.Module) -> Callable[[Tensor], Tensor]:
    @torch.no_grad()
    def forward(inputs: Tensor) -> Tensor:
        return module(inputs)

    return forward


def step(module: nn.Module) -> Callable[[Tensor], None]:
    def forward_and_backward(inputs: Tensor) -> None:
        module(inputs).square().mean().backward()

    return forward_and_backward


def num_operators(call: Callable[[Tensor], object], ids: Tensor) -> int:
    call(ids)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        call(ids)
    return sum("::" in event.name for event in profiler.events())


def compare(
    name: str,
    ours: Callable[[Tensor], object],
    bare: Callable[[Tensor], object],
    ids: Tensor,
    codes: Tensor,
    seconds: float,
) -> None:
    pair = repeat((ids, codes))
    mine, theirs = alternate(
        lambda both: ours(both[0]), lambda both: bare(both[1]), pair, seconds=seconds, device=CPU
    )
    ratio = median(one / other for one, other in zip(mine, theirs, strict=True))
    print(f"{name:46}{median(mine):8.1f} ms{median(theirs):8.1f} ms{ratio:8.2f}", flush=True)


def main() -> None:
    """Print times and ratios, then the numbers of operators."""
    parser = argparse.ArgumentParser(description="Many features at once against bare products.")
    parser.add_argument("--features", type=int, default=26, help="all of one shape")
    parser.add_argument("--batch", type=int, default=2048, help="distinct ids of each feature")
    parser.add_argument("--seconds", type=float, default=4.0, help="for each comparison")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    collection = collection_of(arguments.features).eval()
    network = collection.groups[0].network
    ids = torch.randint(2**63 - 1, (arguments.batch, arguments.features))
    codes = many_op.dense_hash_many(
        ids.T, list(range(arguments.features)), "multiply_shift", 256, 2**20, "uniform",
        torch.float32,
    )  # fmt: skip
    print(
        f"{describe_machine()}, {torch.get_num_threads()} threads; torch {torch.__version__}\n"
        f"{arguments.features} features, batch {arguments.batch}, k 256, hidden 128-128, d 16\n"
        f"{'':46}{'ours':>11}{'bare':>11}{'ratio':>8}",
        flush=True,
    )
    forward = without_gradients(collection)
    frozen = without_gradients(collection.freeze())
    half = without_gradients(collection.freeze(torch.bfloat16))
    bare = without_gradients(BareProducts(network, F.mish).eval())
    fast = without_gradients(BareProducts(network, Mish()).eval())
    bare_half = without_gradients(BareProducts(network, F.mish).eval().bfloat16())
    fast_half = without_gradients(BareProducts(network, Mish()).eval().bfloat16())
    codes_half = codes.bfloat16()
    seconds = arguments.seconds
    for _ in range(20):  # the memory of the first calls comes slower
        forward(ids)
    compare("forward / products, torch's Mish", forward, bare, ids, codes, seconds)
    compare("forward / products, our Mish", forward, fast, ids, codes, seconds)
    compare("frozen / products, our Mish", frozen, fast, ids, codes, seconds)
    compare("frozen bfloat16 / products, torch's Mish", half, bare_half, ids, codes_half, seconds)
    compare("frozen bfloat16 / products, our Mish", half, fast_half, ids, codes_half, seconds)
    training = step(collection_of(arguments.features))
    for name, activate in (("torch's", F.mish), ("our", Mish())):
        bare_training = step(BareProducts(network, activate))
        compare(f"training / with {name} Mish", training, bare_training, ids, codes, seconds)

    print("operators", end="", flush=True)
    for num_features in (2, arguments.features):
        few = collection_of(num_features)
        columns = ids[:, :num_features].contiguous()
        of_training = num_operators(step(few), columns)
        of_forward = num_operators(without_gradients(few.eval()), columns)
        print(f"; {num_features} features: forward {of_forward}, training {of_training}", end="")
    print()


if __name__ == "__main__":
    main()
