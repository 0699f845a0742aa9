"""An embedding of any design has the parameters it is given, as far as a layer or a row allows."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.embeddings import SketchEmbedding
from tablefree.embeddings.budget import build
from tablefree.encodings import DenseHashEncoding
from tablefree.errors import InputError
from tablefree.experiments.designs import CODES, Design
from tablefree.experiments.studies import BASES
from tablefree.network import ACTIVATIONS, NORMS, EmbeddingNetwork

DIM = 16


def built(design, side, num_parameters=6_000):
    return design.build(side, num_parameters, DIM, "item_id:0")


@given(
    code_width=st.integers(1, 1100),
    num_parameters=st.integers(20_000, 2_000_000),
    depth=st.integers(1, 10),
    activation=st.sampled_from(list(ACTIVATIONS)),
    norm=st.sampled_from(list(NORMS)),
    skip=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_layers_fill_a_number_of_parameters(
    code_width, num_parameters, depth, activation, norm, skip
):
    design = Design(depth=depth, activation=activation, norm=norm, skip=skip)
    try:
        hidden = design.hidden_widths(code_width, num_parameters, DIM)
    except InputError as error:
        smallest = int(str(error).partition("at least ")[2].split()[0])
        assert smallest > num_parameters
        hidden = design.hidden_widths(code_width, smallest, DIM)
        assert hidden == (1,) * depth
        num_parameters = smallest
    with torch.device("meta"):
        network = EmbeddingNetwork(
            code_width, DIM, hidden=hidden, activation=activation, norm=norm, skip=skip
        )
    size = sum(parameter.numel() for parameter in network.parameters())
    assert size == design.network_size(code_width, hidden, DIM)
    # One unit more of the last layer would be too many.
    wider = (*hidden[:-1], hidden[-1] + 1)
    assert size <= num_parameters < design.network_size(code_width, wider, DIM)
    assert set(hidden[:-1]) <= {hidden[0]}
    assert hidden[-1] >= hidden[0]


def test_without_a_hidden_layer_there_is_nothing_to_solve():
    assert Design(depth=0).hidden_widths(8, 1, DIM) == ()


@pytest.mark.parametrize("code", CODES)
def test_every_code_makes_an_embedding_of_its_size(task, code):
    base = BASES["sketch" if code == "sketch" else "deep_hash"]
    embedding = built(replace(base, code=code), task.items)
    assert 0.97 * 6_000 < embedding.num_parameters <= 6_000
    ids = torch.from_numpy(task.items.ids[:5])
    assert embedding(ids).shape == (5, DIM)


def test_the_base_of_a_sketch_is_what_the_method_is(task):
    """Should the method change, so must the base."""
    options = {
        "num_embeddings": task.items.num_embeddings,
        "embedding_dim": DIM,
        "seed": "item_id:0",
    }
    method = build("sketch", num_parameters=6_000, **options)
    assert isinstance(method, SketchEmbedding)
    ours = built(BASES["sketch"], task.items)
    assert ours.options == method.options
    assert ours.encodings[0].config() == method.encoding.config()


def test_the_base_of_deep_hash_has_its_code_and_its_network(task):
    method = build(
        "deep_hash", num_parameters=6_000, num_embeddings=100, embedding_dim=DIM, seed="item_id:0"
    )
    ours = built(BASES["deep_hash"], task.items)
    assert ours.encodings[0].config() == method.encoding.config()
    assert {**ours.options, "hidden": None} == {**method.options, "hidden": None}
    ours_hidden, hidden = ours.options["hidden"], method.options["hidden"]
    assert ours_hidden[0] == hidden[0]
    assert ours_hidden[1] - hidden[1] in (0, 1, 2)


def test_what_a_dense_code_is_made_of(task):
    design = Design(
        "gaussian", num_hashes=10, num_buckets=64, family="carter_wegman", dropout=0.1, depth=3
    )
    embedding = built(design, task.items)
    config = embedding.encodings[0].config()
    assert config.items() >= {
        "num_hashes": 10, "num_buckets": 64, "family": "carter_wegman", "transform": "gaussian",
    }.items()  # fmt: skip
    assert embedding.options["dropout"] == 0.1
    assert len(embedding.options["hidden"]) == 3


def test_a_dense_code_beside_a_sketch(task):
    embedding = built(replace(BASES["sketch"], dense=4), task.items)
    sketch, dense = embedding.encodings
    assert isinstance(dense, DenseHashEncoding)
    assert dense.width == 4
    assert sketch.num_rows >= built(BASES["sketch"], task.items).encodings[0].num_rows


def test_fewer_hashes_leave_more_rows_to_each(task):
    one, four = (
        built(replace(BASES["sketch"], num_hashes=number), task.items).encodings[0]
        for number in (1, 4)
    )
    assert one.num_rows // four.num_rows == 4
    assert one.width == four.width


@pytest.mark.parametrize("rows_per_id", [4.0, 1.0, 0.25])
@pytest.mark.parametrize("num_hashes", [None, 1, 4])
def test_rows_an_id_decide_the_size_and_nothing_else(task, rows_per_id, num_hashes):
    base = built(BASES["sketch"], task.items)
    design = replace(BASES["sketch"], rows_per_id=rows_per_id, num_hashes=num_hashes)
    embedding = built(design, task.items)
    assert embedding.options == base.options
    (sketch,) = embedding.encodings
    assert sketch.width == base.encodings[0].width
    wanted = rows_per_id * task.items.num_embeddings
    assert wanted - 4 < len(sketch.rows.weight) <= wanted
    # Even where the method would have none: an owned row for a few of the ids.
    assert (sketch.capacity > 0.6 * wanted) == (num_hashes is None)


def test_designs_are_named_by_all_that_they_are():
    text = Design("gaussian", depth=3, norm="none").to_json()
    assert Design(**json.loads(text)).to_json() == text
    assert "rows_per_id" not in text
    assert '"rows_per_id": 0.5' in Design("sketch", rows_per_id=0.5).to_json()


def test_an_unknown_code_is_refused():
    with pytest.raises(InputError, match=r"code must be one of uniform, .*; got 'magic'"):
        Design("magic")
