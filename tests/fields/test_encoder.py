"""What a model of one's own takes of a table: ids that a collection of the plan embeds, numbers."""

import copy

import polars as pl
import pytest
import torch

import tablefree
from tablefree.data.synthetic import synthetic_clicks
from tablefree.errors import InputError
from tablefree.fields.events import read_events
from tablefree.fields.table import Table


@pytest.fixture(scope="module")
def log():
    return synthetic_clicks(2_000)


@pytest.fixture(scope="module")
def planned(log):
    return tablefree.plan(log, ratio=1 / 4, embedding_dim=4)


def embedded(planned, encoder, data):
    collection = tablefree.EmbeddingCollection(planned.config(encoder.sizes))
    ids, numbers = encoder.encode(data)
    return collection(ids), numbers


def test_a_collection_of_the_plan_takes_every_column(log, planned):
    encoder = tablefree.Encoder.fit(planned, log[:1_000])
    for data in (log, log.drop("click"), log.to_pandas(), log[:0]):
        embeddings, numbers = embedded(planned, encoder, data)
        assert list(embeddings) == encoder.features
        assert {one.shape for one in embeddings.values()} == {(len(data), 4)}
        assert numbers.shape == (len(data), encoder.num_dense)
        assert numbers.isfinite().all()


def test_values_that_were_not_fitted_have_the_last_row(log, planned):
    encoder = tablefree.Encoder.fit(planned, log)
    new = log.with_columns(site=pl.lit("nowhere"))
    ids, _ = encoder.encode(new)
    assert (ids["site"] == encoder.sizes["site"]).all()
    known, _ = encoder.encode(log)
    assert known["site"].unique().tolist() == [*range(encoder.sizes["site"])]
    values = pl.Series(["nowhere", log["site"][0]])
    assert encoder.is_known("site", encoder.ids("site", values)).tolist() == [False, True]


def test_it_knows_the_rows_that_it_was_fitted_on_alone(log, planned):
    first = log["site"].unique().sort()[:3]
    some = log.filter(pl.col("site").is_in(first.implode()))
    encoder = tablefree.Encoder.fit(planned, some)
    assert encoder.sizes["site"] == 3
    events = read_events(Table.of(some), encoder.inputs)
    assert tablefree.Encoder.fit(planned, events).sizes == encoder.sizes


def test_its_state_is_that_of_a_module(log, planned):
    encoder = tablefree.Encoder.fit(planned, log)
    other = copy.deepcopy(encoder)
    for one in other.buffers():
        one.zero_()
    other.load_state_dict(encoder.state_dict())
    found, same = (one.encode(log[:9])[0] for one in (encoder, other))
    assert all(torch.equal(same[name], ids) for name, ids in found.items())


def test_a_table_without_a_column_is_refused(log, planned):
    encoder = tablefree.Encoder.fit(planned, log)
    with pytest.raises(InputError, match=r"lacks the column\(s\) 'site'"):
        encoder.encode(log.drop("site"))
    with pytest.raises(InputError, match="has no column 'site'"):
        tablefree.Encoder.fit(planned, log.drop("site"))


def test_a_table_that_was_fitted_on_nothing_knows_nothing(log, planned):
    encoder = tablefree.Encoder.fit(planned, log[:0])
    embeddings, _ = embedded(planned, encoder, log[:5])
    assert not embeddings["site"].any()


def test_one_value_is_embedded_as_many_are(log, planned):
    encoder = tablefree.Encoder.fit(planned, log)
    assert torch.equal(encoder.ids("site", "a"), encoder.ids("site", ["a"]))
