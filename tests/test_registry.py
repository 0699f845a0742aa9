"""An embedding and its state dict come back from configuration and weights, bit for bit."""

import json

import pytest
import torch

from tablefree.embeddings import (
    METHODS,
    CafeEmbedding,
    ClaimedRows,
    DeepHashEmbedding,
    FullTable,
    HashEmbedding,
    HashingTrick,
    HybridHash,
    MultiHash,
    NarrowTable,
    QuotientRemainder,
    SketchEmbedding,
    from_config,
)
from tablefree.errors import CheckpointError

DIM = 8
EVERY = [
    FullTable(40, DIM),
    NarrowTable(40, DIM, 3),
    HashingTrick(50, DIM, seed="item_id"),
    MultiHash(50, DIM, num_hashes=4, shared=True, combine="concat", seed=2**64 - 1),
    MultiHash(50, DIM, seed=0),
    HashEmbedding(50, DIM, num_importance_rows=90, num_hashes=3, seed="item_id"),
    QuotientRemainder(50, DIM, num_quotients=9, combine="concat", seed="item_id"),
    QuotientRemainder(50, DIM, num_quotients=9, seed="item_id"),
    HybridHash(50, DIM, frequent_ids=torch.tensor([30, -7, 2]), seed="item_id"),
    HybridHash(50, DIM, frequent_ids=torch.tensor([30]), num_hashes=1, seed="item_id"),
    CafeEmbedding(20, DIM, num_rows=50, seed="item_id"),
    ClaimedRows(32, DIM, num_rows=5, seed="item_id"),
    DeepHashEmbedding(DIM, num_hashes=16, hidden=(12, 6), dropout=0.1, seed="item_id"),
    DeepHashEmbedding(
        DIM,
        num_hashes=16,
        hidden=(),
        activation="gelu",
        norm="none",
        transform="gaussian",
        seed=3,
    ),
    SketchEmbedding(16, num_rows=20, code_width=3, hidden=(8,), seed=5),
]


@pytest.mark.parametrize("original", EVERY, ids=lambda one: type(one).__name__)
def test_a_configuration_goes_through_json_and_back(original):
    config = json.loads(json.dumps(original.config()))
    copy = from_config(config)
    assert copy.config() == original.config()
    assert str(copy) == str(original)
    copy.load_state_dict(original.state_dict())
    ids = torch.arange(20)
    assert torch.equal(copy.eval()(ids), original.eval()(ids))


def test_every_method_has_a_configuration():
    assert {one.config()["method"] for one in EVERY} == set(METHODS)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"method": None}, "unknown method None"),
        ({"method": ["full_table"]}, "unknown method"),
        ({"num_rows": 0}, "hashing_trick cannot be used: num_rows"),
        ({"num_rows": "many"}, "hashing_trick cannot be used"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused_by_name(change, named):
    config = HashingTrick(50, DIM, seed=0).config() | change
    with pytest.raises(CheckpointError, match=named):
        from_config(config)


def test_a_missing_field_is_refused_by_name():
    config = HashingTrick(50, DIM, seed=0).config()
    del config["seed"]
    with pytest.raises(CheckpointError, match="seed"):
        from_config(config)
