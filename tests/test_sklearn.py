"""The encoder keeps scikit-learn's contract and that of the hashes, whatever holds the columns."""

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from tablefree import DenseHashEncoding, FullTable, HashingTrick, InputError, SketchEmbedding
from tablefree.ids import to_ids
from tablefree.sklearn import HashEncoder

COLUMNS = {"city": ["Rome", "Oslo", "Rome"], "item": [7, -7, 2**40]}
FRAMES = [pd.DataFrame, pl.DataFrame]
every_frame = pytest.mark.parametrize("frame", FRAMES)


def test_it_passes_the_checks_of_scikit_learn():
    checks = check_estimator(HashEncoder(num_hashes=4), on_skip=None)
    others = [check["check_name"] for check in checks if check["status"] != "passed"]
    assert others == ["check_array_api_input"]  # asks for an environment variable
    assert len(checks) > 40


@every_frame
def test_codes_are_those_of_the_encoding_with_the_name_as_seed(frame):
    codes = HashEncoder(num_hashes=6, distribution="gaussian").fit_transform(frame(COLUMNS))
    assert codes.dtype == np.float32
    for place, (name, values) in enumerate(COLUMNS.items()):
        encode = DenseHashEncoding(6, seed=name, transform="gaussian")
        wanted = encode(to_ids(values)).numpy()
        assert np.array_equal(codes[:, 6 * place : 6 * place + 6], wanted)


def test_columns_without_names_are_numbered():
    named = HashEncoder(4).fit_transform(pd.DataFrame({"x0": ["a", "b"], "x1": ["a", "b"]}))
    rows = [["a", "a"], ["b", "b"]]
    for data in (rows, np.array(rows), np.array(rows, object), pd.DataFrame(rows)):
        assert np.array_equal(HashEncoder(4).fit_transform(data), named)
    assert not np.array_equal(named[:, :4], named[:, 4:])


def test_it_needs_no_fit_and_learns_nothing_from_one():
    data = pd.DataFrame(COLUMNS)
    encoder = HashEncoder(4)
    codes = encoder.transform(data)
    assert not hasattr(encoder, "encoders_")
    other = pd.DataFrame({"city": ["Lima"], "item": [1]})
    assert np.array_equal(encoder.fit(other).transform(data), codes)


def test_rows_of_lists_keep_their_types():
    codes = HashEncoder(4).transform([["a", 1], ["1", 1]])
    integers = HashEncoder(4).transform(pd.DataFrame({"x0": ["a", "1"], "x1": [1, 1]}))
    assert np.array_equal(codes, integers)


@pytest.mark.parametrize(
    "floats",
    [
        pd.Series([7.0, -7.0]),
        pd.Series([7.0, -7.0], dtype="float32"),
        pd.Series([7.0, -7.0], dtype="Float64"),
        pl.Series([7.0, -7.0]),
    ],
    ids=lambda column: f"{type(column).__module__}-{column.dtype}",
)
def test_a_float_that_was_one_integer_is_that_integer(floats):
    frame = pd.DataFrame if isinstance(floats, pd.Series) else pl.DataFrame
    integers = frame({"item": [7, -7]})
    data = frame({"item": floats})
    assert np.array_equal(HashEncoder(4).transform(data), HashEncoder(4).transform(integers))


@every_frame
@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1.0, 2.5], "smaller than 9007199254740992, .*got 2.5 at position 1"),
        ([1.0, 2.0**53], "got 9007199254740992.0 at position 1"),
        ([1.0, float("nan")], "got nan at position 1"),
        (np.array([1, 2**24], np.float32), "smaller than 16777216, .*got 16777216.0"),
        ([True, False], "bool"),
        (["a", None], "null at position 1"),
    ],
)
def test_what_is_no_category_is_refused_by_column_and_row(frame, values, reason):
    with pytest.raises(InputError, match=f"column 'item': .*{reason}"):
        HashEncoder(4).transform(frame({"item": values}))


@every_frame
@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_output_as_a_frame(frame, output):
    encoder = HashEncoder(2).set_output(transform=output)
    codes = encoder.fit_transform(frame(COLUMNS))
    assert type(codes) is {"pandas": pd.DataFrame, "polars": pl.DataFrame}[output]
    assert list(codes.columns) == ["city_0", "city_1", "item_0", "item_1"]
    assert np.array_equal(codes.to_numpy(), HashEncoder(2).transform(frame(COLUMNS)))


def test_names_of_the_output():
    with pytest.raises(NotFittedError):
        HashEncoder(2).get_feature_names_out(["city"])
    encoder = HashEncoder(2).fit([["a"]])
    assert encoder.get_feature_names_out().tolist() == ["x0_0", "x0_1"]
    assert encoder.get_feature_names_out(["city"]).tolist() == ["city_0", "city_1"]


@every_frame
def test_in_a_pipeline(frame):
    rng = np.random.default_rng(0)
    cities = rng.integers(20, size=400)
    data = frame({"city": [f"city {city}" for city in cities], "age": rng.normal(size=400)})
    model = make_pipeline(
        ColumnTransformer(
            [("codes", HashEncoder(32), ["city"]), ("scale", StandardScaler(), ["age"])]
        ),
        LogisticRegression(),
    )
    assert clone(model).fit(data, cities % 2).score(data, cities % 2) == 1
    names = model[0].fit(data).get_feature_names_out()
    assert (names[0], names[-1]) == ("codes__city_0", "scale__age")


def test_trained_embeddings_take_the_place_of_codes(tmp_path):
    city = SketchEmbedding(3, num_rows=20, code_width=2, hidden=(5,), seed="city")
    item = HashingTrick(9, 4, seed="item")
    item.save_pretrained(tmp_path)
    data = pd.DataFrame({**COLUMNS, "shop": [1, 2, 3]})
    encoder = HashEncoder(2, embeddings={"city": city, "item": tmp_path})
    for one in (encoder, clone(encoder), copy.deepcopy(encoder).fit(data)):
        vectors = one.fit_transform(data)
        with torch.no_grad():
            wanted = [city(to_ids(COLUMNS["city"])), item(to_ids(COLUMNS["item"]))]
        assert np.array_equal(vectors[:, :7], torch.cat(wanted, dim=-1).numpy())
        assert np.array_equal(vectors[:, 7:], HashEncoder(2).transform(data[["shop"]]))
    assert encoder.get_feature_names_out()[6:].tolist() == ["item_3", "shop_0", "shop_1"]
    assert city.training


def test_a_table_takes_positions():
    encoder = HashEncoder(embeddings={"item": FullTable(9, 4)})
    assert encoder.fit_transform(pd.DataFrame({"item": [0, 9]})).shape == (2, 4)
    with pytest.raises(InputError, match=r"0\.\.8"):
        encoder.transform(pd.DataFrame({"item": [77]}))


@pytest.mark.parametrize(
    ("encoder", "reason"),
    [
        (HashEncoder(0), "num_hashes"),
        (HashEncoder(3, distribution="gaussian"), "even"),
        (HashEncoder(embeddings={"shop": HashingTrick(9, 4, seed=1)}), "'shop', which the data"),
    ],
)
def test_options_that_cannot_be_used_are_refused(encoder, reason):
    with pytest.raises(InputError, match=reason):
        encoder.fit(pd.DataFrame(COLUMNS))


@every_frame
@pytest.mark.parametrize(("seen", "sent"), [([7], ["7"]), (["7"], [7]), ([7.0], ["7"])])
def test_categories_of_another_type_than_in_fit_are_refused(frame, seen, sent):
    encoder = HashEncoder(4).fit(frame({"c": seen}))
    with pytest.raises(InputError, match=r"column 'c' has categories of type .* in fit"):
        encoder.transform(frame({"c": sent}))
    encoder.transform(frame({"c": seen}))
    assert HashEncoder(4).transform(frame({"c": sent})).shape == (1, 4)


def test_a_whole_float_is_the_integer_that_it_was():
    encoder = HashEncoder(4).fit(pd.DataFrame({"c": [7, 8]}))
    codes = encoder.transform(pd.DataFrame({"c": [7.0]}))
    assert np.array_equal(codes, encoder.transform(pd.DataFrame({"c": [7]})))
    with pytest.raises(InputError, match="nan at position 1"):
        encoder.transform(pd.DataFrame({"c": [7, None]}))
