"""What is numbered by what is known first, and scaled by what is known at all."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tablefree.data import Interactions, synthetic_interactions
from tablefree.data.interactions import Features

EVENTS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=12
)


def by_id(events):
    """Interactions of ids (users from 100, items from 200), with a feature that tells the id."""
    user, item, _ = np.array(events).T
    user_ids, user = np.unique(user + 100, return_inverse=True)
    item_ids, item = np.unique(item + 200, return_inverse=True)
    features = Features(("id",), user_ids[:, None].astype(float), (True,))
    return Interactions("made up", user, item, user_ids, item_ids, user_features=features)


def stages(events):
    return np.array(events)[:, 2]


class TestOrderedBy:
    @given(EVENTS)
    def test_the_events_stay_as_they_are(self, events):
        data = by_id(events)
        ordered = data.ordered_by(stages(events))
        assert np.array_equal(ordered.user_ids[ordered.user], data.user_ids[data.user])
        assert np.array_equal(ordered.item_ids[ordered.item], data.item_ids[data.item])
        assert np.array_equal(ordered.user_features.values[:, 0], ordered.user_ids)

    @given(EVENTS)
    def test_positions_rise_with_the_first_stage_then_the_id(self, events):
        ordered = by_id(events).ordered_by(stages(events))
        first = [stages(events)[ordered.user == user].min() for user in range(ordered.num_users)]
        places = list(zip(first, ordered.user_ids, strict=True))
        assert places == sorted(places)

    @given(EVENTS, EVENTS, st.randoms())
    def test_later_stages_and_the_order_of_the_file_do_not_count(self, events, others, rng):
        early = [event for event in events if event[2] == 0] or [(0, 0, 0)]
        later = [(user, item, 1) for user, item, _ in others]
        shuffled = early + later
        rng.shuffle(shuffled)
        for more in (early, early + later, shuffled):
            ordered = by_id(more).ordered_by(stages(more))
            seen = sorted({user + 100 for user, _, _ in early})
            assert ordered.user_ids[: len(seen)].tolist() == seen

    def test_an_id_without_an_event_comes_last(self):
        data = replace(by_id([(3, 0, 0)]), user_ids=np.array([1, 103]), user=np.array([1]))
        data = replace(data, user_features=None)
        assert data.ordered_by(np.array([0])).user_ids.tolist() == [103, 1]


class TestScaled:
    def test_numbers_have_mean_0_and_deviation_1_over_the_known_rows(self):
        values = np.array([[1.0], [3.0], [np.nan], [500.0]])
        scaled = Features(("price",), values, (True,)).scaled(np.array([1, 1, 1, 0], bool))
        assert scaled.dtype == np.float32
        assert scaled[:3, 0].tolist() == [-1, 1, 0]
        assert scaled[3, 0] == 498

    def test_categories_stay_and_those_that_no_known_row_has_go(self):
        values = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
        scaled = Features(("g=a", "g=b", "g=c"), values).scaled(np.array([1, 1, 0], bool))
        assert scaled.tolist() == [[1, 0], [0, 1], [0, 0]]

    @pytest.mark.parametrize("shared", [0.0, 0.1, 7.0, np.nan])
    def test_a_number_that_all_known_rows_share_goes(self, shared):
        values = np.array([[shared, 1.0], [shared, 2.0], [shared, 4.0], [9.0, 0.0]])
        scaled = Features(("a", "b"), values, (True, True)).scaled(np.array([1, 1, 1, 0], bool))
        assert scaled.shape == (4, 1)

    @given(
        arrays(np.float64, (6, 2), elements=st.integers(-(10**6), 10**6).map(float)),
        arrays(np.float64, (2, 2), elements=st.integers(-(10**6), 10**6).map(float)),
    )
    def test_known_rows_do_not_depend_on_the_others(self, values, others):
        known = np.array([1, 1, 1, 1, 0, 0], bool)
        changed = values.copy()
        changed[4:] = others
        one, other = (
            Features(("a", "b"), each, (True, True)).scaled(known) for each in (values, changed)
        )
        assert np.array_equal(one[known], other[known])

    def test_generated_numbers_are_scaled_like_read_ones(self):
        features = synthetic_interactions(500, num_users=40, num_items=30).item_features
        scaled = features.scaled(np.ones(len(features.values), bool))
        assert scaled[:, -1].mean() == pytest.approx(0, abs=1e-6)
        assert scaled[:, -1].std() == pytest.approx(1, abs=1e-6)
