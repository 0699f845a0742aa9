"""Time of a frozen sketch against a table's lookup and its decoder's bare products.

4,096 distinct ids a batch, a million ids expected, 1/4 of the parameters of a table of width 32.
"Owned" ids have rows of their own, "shared" ids came too late, "plain" is a sketch without rows to
own. The bare products are those of the decoder's three matrices, without biases and activation.
Medians; two threads by default.

Run: python benchmarks/sketch_lookup.py
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from tablefree import presets
from tablefree.embeddings import SketchEmbedding
from tablefree.machine import describe_machine

NUM_IDS, BATCH, EMBEDDING_DIM, REPEATS = 1_000_000, 4096, 32, 101


def milliseconds(function: Callable[[Tensor], object], batches: list[Tensor]) -> float:
    times = []
    for batch in batches:
        start = time.perf_counter()
        function(batch)
        times.append(time.perf_counter() - start)
    return 1e3 * median(times[len(times) // 5 :])


def bare(embedding: SketchEmbedding) -> Callable[[Tensor], Tensor]:
    """A lookup of rows as wide as the code, and the products of the decoder."""
    width, hidden = embedding.encoding.width, embedding.options["hidden"][0]
    table = nn.Embedding(NUM_IDS, width).requires_grad_(False)
    first, skip = torch.randn(hidden, width), torch.randn(EMBEDDING_DIM, width)
    last = torch.randn(EMBEDDING_DIM, hidden)

    def run(ids: Tensor) -> Tensor:
        codes = table(ids)
        return codes @ first.T @ last.T + codes @ skip.T

    return run


@torch.inference_mode()
def main() -> None:
    print(describe_machine())
    torch.manual_seed(0)
    owned = presets.sketch(EMBEDDING_DIM, capacity=NUM_IDS, seed="item_id")
    owned.encoding(torch.arange(NUM_IDS))
    plain = SketchEmbedding(
        EMBEDDING_DIM, num_rows=NUM_IDS // 2, code_width=owned.encoding.width, seed="item_id"
    )
    batches = [torch.randperm(NUM_IDS)[:BATCH] for _ in range(REPEATS)]
    floor = milliseconds(bare(owned), batches)
    print(f"lookup and bare products  {floor:6.3f} ms")
    for name, embedding in (("owned", owned), ("plain", plain)):
        took = milliseconds(embedding.freeze(), batches)
        print(f"sketch, {name:16}  {took:6.3f} ms, {took / floor:.2f} times")


if __name__ == "__main__":
    main()
