"""What a column is worth: the AUC that goes with its values, of ids, numbers, dates and bags."""

import numpy as np
import polars as pl
import pytest
import torch

from tablefree.experiments.worth import column_worth
from tablefree.fields.events import read_events
from tablefree.fields.plan import plan
from tablefree.fields.profile import profile
from tablefree.fields.table import Table
from tablefree.training.events import new_predictor

NUM_EVENTS = 600
HOUR = 3_600


def events_by(told):
    """Events whose label one column tells, and a model that has learned it by heart."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, NUM_EVENTS)
    hidden = {name: label if name == told else rng.integers(0, 2, NUM_EVENTS) for name in NAMES}
    frame = pl.DataFrame(
        {
            "city": pl.Series(["a", "b"]).gather(hidden["city"]),
            "tags": pl.Series([["x", "y"], ["z"]]).gather(hidden["tags"]),
            "price": hidden["price"] + rng.normal(0, 0.1, NUM_EVENTS),
            "size": hidden["size"] + rng.normal(0, 0.1, NUM_EVENTS),
            "seen": pl.Series(hidden["seen"] * 12 * HOUR * 10**6).cast(pl.Datetime("us")),
            "sold": label,
        }
    )
    found = profile(frame, label="sold", date=["seen"])
    columns = [one.column for one in found.columns.values()]
    events = read_events(Table.of(frame), columns)
    tables = plan(found, method="full_table", embedding_dim=4)
    predictor = new_predictor(tables, events, model="deepfm", seed=0)
    optimizer = torch.optim.Adam(predictor.parameters(), 0.02)
    features, dense = predictor.encoded(events)
    labels = torch.from_numpy(events.labels)
    for _ in range(60):
        logits = predictor(features, dense)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return predictor.eval(), events


NAMES = ("city", "tags", "price", "size", "seen")


@pytest.mark.parametrize("told", NAMES)
def test_the_column_that_tells_the_label_is_worth_the_most(told):
    predictor, events = events_by(told)
    before = (events.ids.clone(), events.numbers.copy(), events.bags["tags"].ids.clone())
    worth = column_worth(predictor, events)
    assert worth.keys() == {*NAMES}
    assert worth.pop(told) == pytest.approx(0.5, abs=0.1)
    assert max(map(abs, worth.values())) < 0.05
    assert torch.equal(events.ids, before[0])
    assert np.array_equal(events.numbers, before[1])
    assert torch.equal(events.bags["tags"].ids, before[2])


def test_it_is_the_same_each_time():
    predictor, events = events_by("city")
    assert column_worth(predictor, events) == column_worth(predictor, events)
