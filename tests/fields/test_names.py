"""What names say, however their words are joined."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefree.fields import names


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("label", 0),
        ("Target", 0),
        ("y", 0),
        ("click", 1),
        ("Clicked", 1),
        ("clk", 1),
        ("is_click", 1),
        ("IsClicked", 1),
        ("CLICKED_FLAG", 1),
        ("click_bool", 1),
        ("was-clicked", 1),
        ("Clicked on Ad", 1),
        ("ad_click", 1),
        ("is_attributed", 2),
        ("converted", 2),
        ("Conversion", 2),
        ("booking_bool", 2),
        ("purchase", 2),
        ("nonclk", None),
        ("click_time", None),
        ("click_pos", None),
        ("clicks_7d", None),
        ("conversion_id", None),
        ("target_price", None),
        ("year", None),
        ("label_encoder", None),
    ],
)
def test_labels(name, rank):
    assert names.label_rank(name) == rank


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("timestamp", True),
        ("time_stamp", True),
        ("timeStamp", True),
        ("click_time", True),
        ("date_time", True),
        ("Date/Time", True),
        ("DATETIME", True),
        ("server_time", True),
        ("time_ms", True),
        ("EVENT_TS", True),
        ("ts_ms", True),
        ("impression_time", True),
        ("eventtime", True),
        ("created_at", True),
        ("hour", True),
        ("time_hour", True),
        ("dt", True),
        ("pt_d", True),
        ("attributed_time", False),
        ("conversion_timestamp", False),
        ("time_since_last_click", False),
        ("play_time_ms", False),
        ("signup_date", False),
        ("birth_date", False),
        ("update_time", False),
        ("publish_time", False),
        ("hour_of_day", False),
        ("click", False),
        ("show", False),
    ],
)
def test_times(name, is_one):
    assert names.is_time(name) == is_one


@pytest.mark.parametrize(
    "name",
    [
        *("user_id", "userId", "uid", "AdID", "ids", "zip", "order-no", "promo_code", "zipcode"),
        *("userid", "", "index", "level_0", "Unnamed: 0", "__index_level_0__"),
    ],
)
def test_ids(name):
    assert names.is_id(name)


@pytest.mark.parametrize("name", ["paid", "bid", "price_index", "idle", "number", "价格"])
def test_no_ids(name):
    assert not names.is_id(name)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("adgroup", True),
        ("customer", True),
        ("BRAND", True),
        ("channel", True),
        ("app", True),
        ("device_os", True),
        ("C14", True),
        ("cat_0", True),
        ("cat7", True),
        ("siteCategory", True),
        ("num_user", False),
        ("clicks_per_user", False),
        ("days_since_session", False),
        ("user_age", False),
        ("os_version", False),
        ("temp_c", False),
        ("application", False),
    ],
)
def test_things(name, is_one):
    assert names.is_thing(name) == is_one


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *((one, True) for one in ("price", "slotprice", "age", "numVisits", "dwell_time", "max_x")),
        *((one, False) for one in ("account", "discoverer", "merchant", "brand", "page")),
    ],
)
def test_amounts(name, is_one):
    assert names.is_amount(name) == is_one


@given(st.lists(st.sampled_from(["user", "click", "time", "x", "id"]), min_size=1))
def test_words_are_the_same_however_they_are_joined(parts):
    joined = [
        "_".join(parts),
        "-".join(parts).upper(),
        " ".join(parts).title(),
        parts[0] + "".join(part.title() for part in parts[1:]),
    ]
    assert {names.words(one) for one in joined[:3]} == {"_".join(parts)}
    if "x" not in parts:
        assert names.words(joined[3]) == "_".join(parts)
