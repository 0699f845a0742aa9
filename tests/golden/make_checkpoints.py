"""Write checkpoints/ and what they embed: `python tests/golden/make_checkpoints.py [NAME ...]`.

Every later version must read the checkpoints of this one, so name those that are new, or that a
change of the format before its release made anew.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tablefree.embeddings import (
    CafeEmbedding,
    ClaimedRows,
    DecodedEmbedding,
    DeepHashEmbedding,
    EmbeddingCollection,
    FullTable,
    HashEmbedding,
    HashingTrick,
    HybridHash,
    MultiHash,
    NarrowTable,
    QuotientRemainder,
    SketchEmbedding,
)
from tablefree.encodings import BagFeatures, DenseHashEncoding, SideFeatures, SketchEncoding
from tablefree.models import DCN, DLRM, GMF, MLP, DeepFM
from tablefree.pretrained import Pretrained

DIM = 4
FEATURES = [[7, 7, 7], [-7, 8, 2**60]]  # a row an example
NUMBERS = [[0.5, -1.0], [2.0, 0.25]]
POSITIONS = [0, 3, 3, 8, 9]  # of tables of nine ids; the last is for unknown ones
IDS = [7, -7, 7, 2**60, -(2**63)]
INPUTS: dict[str, list[Any]] = {
    "full_table": [POSITIONS],
    "narrow_table": [POSITIONS],
    "collection": [FEATURES],
    "gmf": [IDS, IDS[::-1]],
    "mlp": [IDS, IDS[::-1]],
    "dlrm": [FEATURES, NUMBERS],
    "deepfm": [FEATURES, NUMBERS],
    "dcn": [FEATURES, NUMBERS],
}


def modules() -> dict[str, Pretrained]:
    """A small one of each kind."""
    codes = [
        SketchEncoding(9, 2, seed="sketch"),
        DenseHashEncoding(6, seed="dense", transform="gaussian", family="carter_wegman"),
        HashingTrick(9, 2, seed="trick"),
        SideFeatures(torch.tensor([7, 2**60]), torch.tensor([[0.5, -1.0], [2.0, 0.25]])),
    ]
    tags = BagFeatures(
        SketchEncoding(9, 2, seed="tag"),
        torch.tensor([7, -7]),
        torch.tensor([1, 2, 2**40]),
        torch.tensor([0, 2, 3]),
    )
    return {
        "full_table": FullTable(9, DIM),
        "narrow_table": NarrowTable(9, DIM, rank=2),
        "hashing_trick": HashingTrick(9, DIM, seed="item_id"),
        "multi_hash": MultiHash(9, DIM, seed="item_id"),
        "hash_embedding": HashEmbedding(9, DIM, num_importance_rows=20, seed="item_id"),
        "quotient_remainder": QuotientRemainder(9, DIM, num_quotients=3, seed="item_id"),
        "hybrid_hash": HybridHash(9, DIM, frequent_ids=torch.tensor([7, 42]), seed="item_id"),
        "cafe": CafeEmbedding(1, DIM, num_rows=9, seed="item_id"),
        "deep_hash": DeepHashEmbedding(DIM, num_hashes=6, hidden=(5, 5), seed="item_id"),
        "sketch": SketchEmbedding(DIM, num_rows=9, code_width=2, hidden=(5,), seed="item_id"),
        "own_rows": SketchEmbedding(
            DIM, num_rows=9, code_width=2, capacity=16, hidden=(5,), seed="item_id"
        ),
        "rms_norm": SketchEmbedding(
            DIM, num_rows=9, code_width=2, hidden=(5,), norm="rms", seed="item_id"
        ),
        "claimed_rows": ClaimedRows(16, DIM, num_rows=9, seed="item_id"),
        "decoded": DecodedEmbedding(DIM, codes, hidden=(5,), norm="layer"),
        "tags": DecodedEmbedding(DIM, [DenseHashEncoding(6, seed="dense"), tags], hidden=(5,)),
        "collection": _collection(),
        "gmf": GMF(_small_sketch("user_id"), _small_sketch("item_id")),
        "mlp": MLP(_small_sketch("user_id"), HashingTrick(9, DIM, seed="item_id")),
        "dlrm": DLRM(_collection(), 2, bottom=(3,), top=(5, 4)),
        "deepfm": DeepFM(_collection(), 2, hidden=(5, 4)),
        "dcn": DCN(_collection(), 2, num_crosses=3, hidden=(5, 4)),
    }


def _collection() -> EmbeddingCollection:
    deep_hash = {"method": "deep_hash", "embedding_dim": DIM, "num_hashes": 6, "hidden": [5]}
    city = HashingTrick(9, DIM, seed="city").config()
    return EmbeddingCollection({"user_id": deep_hash, "item_id": deep_hash, "city": city})


def _small_sketch(seed: str) -> SketchEmbedding:
    return SketchEmbedding(DIM, num_rows=9, code_width=2, hidden=(5,), seed=seed)


def inputs(name: str) -> list[Tensor]:
    """What a module of this name is called with."""
    return [torch.tensor(values) for values in INPUTS.get(name, [IDS])]


def trained(name: str, module: Pretrained) -> Pretrained:
    """The module after steps that move every parameter and running statistic."""
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        (module(*inputs(name)) - 1).square().mean().backward()
        optimizer.step()
    return module.eval()


def write(folder: Path, name: str, module: Pretrained) -> None:
    module.save_pretrained(folder / name)
    with torch.no_grad():
        output = module(*inputs(name)).tolist()
    expected = {"inputs": INPUTS.get(name, [IDS]), "output": output}
    (folder / name / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    made = modules()
    for name in sys.argv[1:] or made:
        write(Path(__file__).with_name("checkpoints"), name, trained(name, made[name]))
