import numpy as np
import pytest

from tablefree.data import load as module
from tablefree.data.download import DATASETS
from tablefree.data.load import load_interactions
from tablefree.errors import InputError

CSV = "who,what\n7,1\n7,2\n9,1\n"


def test_a_path_is_read_with_its_options(tmp_path):
    (tmp_path / "events.csv").write_text(CSV)
    data = load_interactions(
        str(tmp_path / "events.csv"), user_column="who", item_column="what", label_column=None
    )
    assert data.user_ids.tolist() == [7, 9]
    assert data.item_ids.tolist() == [1, 2]


def test_synthetic_data_is_generated_alike_each_time():
    one, other = load_interactions("synthetic"), load_interactions("synthetic")
    assert one.name == "synthetic"
    assert one.num_events == 200_000
    assert np.array_equal(one.user, other.user)
    assert np.array_equal(one.item, other.item)


@pytest.mark.parametrize("name", ["synthetic-dense", "synthetic-sparse"])
def test_synthetic_data_comes_in_other_densities(name):
    data = load_interactions(name)
    assert data.name == name
    events_per_id = 2 * data.num_events / (data.num_users + data.num_items)
    assert events_per_id > 200 if name == "synthetic-dense" else events_per_id < 10


@pytest.mark.parametrize(
    "option", [{"user_column": "who"}, {"positive_rating": 0.0}, {"user_feature_columns": ("a",)}]
)
def test_synthetic_data_has_no_columns_to_choose(option):
    with pytest.raises(InputError, match=f"no columns to choose: leave {next(iter(option))} out"):
        load_interactions("synthetic", **option)


def test_options_that_say_nothing_are_fine_for_synthetic_data():
    data = load_interactions("synthetic", user_column=None, user_feature_columns=())
    assert data.num_events == 200_000


def test_a_data_set_of_a_known_owner_is_downloaded_and_read(tmp_path, monkeypatch):
    (tmp_path / "events.csv").write_text(CSV)
    asked = []

    def pretend(name, folder):
        asked.append((name, folder))
        return tmp_path / "events.csv"

    monkeypatch.setattr(module, "download", pretend)
    monkeypatch.chdir(tmp_path)
    name = next(iter(DATASETS))
    data = load_interactions(name, user_column="who", item_column="what")
    assert data.num_events == 3
    assert asked == [(name, module.DOWNLOAD_FOLDER)]


def test_a_path_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "synthetic").write_text(CSV)
    with pytest.raises(InputError, match="synthetic is in no known form"):
        load_interactions("synthetic")


def test_an_unknown_name_is_refused_with_the_choices():
    with pytest.raises(InputError, match="nowhere does not exist, and is no known data") as caught:
        load_interactions("nowhere")
    assert all(name in str(caught.value) for name in (*module.SYNTHETIC, *DATASETS))
    assert "\n" not in str(caught.value)
