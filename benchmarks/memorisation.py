"""How much can an embedding hold? The share kept of i.i.d. Gaussian rows, by method and size.

Rows that have nothing in common are the hardest to represent: what is kept is memory alone. Each
method is fitted to 16 numbers an id by `distill`. A sketch without a decoder is solved for as well,
which is the best that it can do. Sizes are those of the full table. A linear method of a share s of
the parameters keeps about s of the variance. Shown is the best of the rates tried, which is fair:
there is nothing to overfit.

Run: python benchmarks/memorisation.py [--ids 10000 --steps 500] [--cases sketch table]
With 100,000 ids and all cases, about 2 s a step on one core, of which dense codes take all but .1.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tablefree import (
    DeepHashEmbedding,
    Embedding,
    MultiHash,
    SketchEmbedding,
    distill,
)
from tablefree.embeddings import build
from tablefree.embeddings.budget import SKETCH_HASHES, deep_hash_shape
from tablefree.machine import describe_machine

DIM = 16
SIZES = (1 / 4, 1 / 2, 1)
RATES = ((0.03, 0.01), (0.1, 0.03))  # of rows and of networks


@dataclass(frozen=True)
class Case:
    """A kind of embedding, from its number of parameters and of ids, and its optimizer."""

    name: str
    build: Callable[[int, int], Embedding]
    optimizer: str = "adamw"
    sizes: tuple[float, ...] = SIZES


def of_method(method: str) -> Callable[[int, int], Embedding]:
    return lambda size, ids: build(
        method, num_parameters=size, num_embeddings=ids, embedding_dim=DIM, seed=0
    )


def dense_code(activation: str, norm: str = "batch") -> Callable[[int, int], Embedding]:
    def build_dense(size: int, _ids: int) -> Embedding:
        num_hashes, hidden = deep_hash_shape(size, DIM)
        return DeepHashEmbedding(
            DIM, num_hashes=num_hashes, hidden=hidden, activation=activation, norm=norm, seed=0
        )

    return build_dense


def decoded_sketch(activation: str) -> Callable[[int, int], Embedding]:
    def build_sketch(size: int, ids: int) -> Embedding:
        config = of_method("sketch")(size, ids).config()
        del config["method"]
        return SketchEmbedding(**{**config, "activation": activation})

    return build_sketch


def sketch_rows(size: int) -> int:
    return size // (SKETCH_HASHES * DIM)


def plain_sketch(size: int, _ids: int) -> Embedding:
    return MultiHash(sketch_rows(size), DIM, num_hashes=SKETCH_HASHES, seed=0)


CASES = (
    Case("full table", of_method("full_table"), sizes=(1,)),
    Case("narrow table", of_method("narrow_table")),
    Case("hashing trick", of_method("hashing_trick")),
    Case("sketch, no decoder", plain_sketch),
    Case("sketch, Mish", decoded_sketch("mish")),
    Case("sketch, ReLU", decoded_sketch("relu")),
    Case("sketch, Mish, Muon", decoded_sketch("mish"), "muon"),
    Case("dense code, Mish + BN", dense_code("mish")),
    Case("dense code, ReLU + BN", dense_code("relu")),
    Case("dense code, Mish", dense_code("mish", "none")),
    Case("dense code, Mish + BN, Muon", dense_code("mish"), "muon"),
)


def share_kept(case: Case, size: float, targets: torch.Tensor, steps: int) -> float:
    """Of the best of `RATES`."""
    shares = []
    for rate, network_rate in RATES:
        torch.manual_seed(0)
        report = distill(
            targets,
            case.build(int(size * targets.numel()), len(targets)),
            steps=steps,
            batch_size=1024,
            learning_rate=rate,
            network_learning_rate=network_rate,
            optimizer=case.optimizer,
            seed=0,
        )
        shares.append(report.variance_kept)
    return max(shares)


def line(name: str, shares: list[str], start: float) -> str:
    return f"{name:<30}{''.join(f'{share:>8}' for share in shares)}{time.time() - start:>8.0f}"


def main() -> None:
    """Fit each method at each size; print the share of variance kept."""
    parser = argparse.ArgumentParser(description="Share kept of i.i.d. Gaussian rows.")
    parser.add_argument("--ids", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=500, help="batches of 1,024 ids")
    parser.add_argument("--cases", nargs="+", default=[""], help="parts of the names of those run")
    arguments = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    targets = torch.randn(arguments.ids, DIM, generator=generator)
    print(
        f"{describe_machine()}; torch {torch.__version__}\n"
        f"{arguments.ids:,} ids, {DIM} numbers each, {arguments.steps:,} steps\n"
        f"{'share kept at size':<30}{''.join(f'{size:>8}' for size in SIZES)}{'seconds':>8}",
        flush=True,
    )
    for case in CASES:
        if not any(part in case.name for part in arguments.cases):
            continue
        start = time.time()
        shares = [
            f"{share_kept(case, size, targets, arguments.steps):.3f}" if size in case.sizes else "-"
            for size in SIZES
        ]
        print(line(case.name, shares, start), flush=True)


if __name__ == "__main__":
    main()
