"""What files of users and items say stands beside each event, as columns like any other."""

import gzip
import zipfile
from datetime import datetime

import polars as pl
import pytest

from tablefree.errors import InputError
from tablefree.fields.profile import profile
from tablefree.fields.table import Table

EVENTS = "user_id:token\titem_id:token\trating:float\n1\ta\t5\n2\tb\t1\n1\tc\t3\n"
USERS = "user_id:token\tage:float\tgender:token\n2\t31\tF\n1\t40\tM\n"
ITEMS = "item_id:token\tclass:token_seq\nb\tComedy War\na\tDrama\n"  # none of c


def rows(data, *columns):
    batches = Table.of(data).batches(columns or Table.of(data).columns)
    return [row for batch in batches for row in batch.to_pylist()]


@pytest.fixture
def folder(tmp_path):
    for end, text in (("inter", EVENTS), ("user", USERS), ("item", ITEMS)):
        (tmp_path / f"x.{end}").write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", ["", "x.inter"])
def test_recbole(folder, name):
    assert rows(folder / name) == [
        {"user_id": "1", "item_id": "a", "rating": 5, "age": 40, "gender": "M", "class": ["Drama"]},
        {"user_id": "2", "item_id": "b", "rating": 1, "age": 31, "gender": "F"}
        | {"class": ["Comedy", "War"]},
        {"user_id": "1", "item_id": "c", "rating": 3, "age": 40, "gender": "M", "class": None},
    ]
    assert rows(folder / name, "gender") == [{"gender": "M"}, {"gender": "F"}, {"gender": "M"}]


def test_types_are_those_of_the_files(folder):
    found = profile(folder, categorical=["gender"]).columns
    assert (found["age"].column.kind, found["class"].column.kind) == ("numeric", "bag")


def test_a_column_of_both_says_whose_it_is(folder):
    (folder / "x.item").write_text("item_id:token\trating:float\tage:token\na\t1\told\n")
    first, *_ = rows(folder)
    assert (first["rating"], first["item.rating"]) == (5, 1)
    assert (first["age"], first["user.age"]) == ("old", 40)  # in the order of the files


def test_a_side_of_other_ids_is_none_of_these_events(folder):
    (folder / "x.inter").write_text("user_id:token\n1\n")
    assert Table.of(folder).columns == ["user_id", "age", "gender"]


def test_ids_of_other_names_are_found_by_the_first_column(folder):
    (folder / "x.inter").write_text("user_id:token\tartist_id:token\n1\ta\n")
    (folder / "x.item").write_text("artist_id:token\tname:token\na\tAnn\n")
    assert rows(folder, "artist_id", "name") == [{"artist_id": "a", "name": "Ann"}]


def test_a_missing_id_has_nothing(folder):
    (folder / "x.inter").write_text("user_id:token\titem_id:token\n1\t\n")
    (folder / "x.item").write_text("item_id:token\tprice:float\n\t9\n")
    assert rows(folder, "item_id", "price") == [{"item_id": None, "price": None}]


@pytest.mark.parametrize("names", [("X.INTER", "X.ITEM"), ("x.inter.gz", "x.item.gz")])
@pytest.mark.parametrize("is_folder", [True, False])
def test_upper_case_and_packed_files(tmp_path, names, is_folder):
    for name, text in zip(names, (EVENTS, ITEMS), strict=True):
        data = text.encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    found = rows(tmp_path if is_folder else tmp_path / names[0], "class")
    wanted = [{"class": ["Drama"]}, {"class": ["Comedy", "War"]}, {"class": None}]
    assert found == wanted


@pytest.fixture
def movielens(tmp_path):
    (tmp_path / "ratings.dat").write_text("1::7::5::978300760\n2::8::3::978300761\n")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    (tmp_path / "movies.dat").write_text("7::Sabrina (1995)::Comedy|Romance\n")
    return tmp_path


MOVIES = [
    {"user_id": 1, "item_id": 7, "rating": 5.0, "gender": "F", "genre": ["Comedy", "Romance"]},
    {"user_id": 2, "item_id": 8, "rating": 3.0, "gender": "M", "genre": None},
]


def test_movielens(movielens, tmp_path):
    assert rows(movielens, *MOVIES[0]) == MOVIES
    path = tmp_path / "ml-1m.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("ratings.dat", "users.dat", "movies.dat"):
            archive.write(movielens / name, f"ml-1m/{name}")
    assert rows(path, *MOVIES[0]) == MOVIES


def test_movielens_of_which_events_are_in_parquet(movielens):
    (movielens / "ratings.dat").unlink()
    ids = {"user_id": [1, 2, 9], "movie_id": [8, 7, 7]}
    pl.DataFrame(ids).write_parquet(movielens / "interactions.parquet")
    assert rows(movielens, "gender", "genre") == [
        {"gender": "F", "genre": None},
        {"gender": "M", "genre": ["Comedy", "Romance"]},
        {"gender": None, "genre": ["Comedy", "Romance"]},
    ]


@pytest.mark.parametrize("ids", [["7", "abc", ""], ["7", "2.0", ""], [7.0, 1.5, None]], ids=str)
def test_ids_that_no_movie_has_have_nothing(movielens, ids):
    (movielens / "ratings.dat").unlink()
    frame = pl.DataFrame({"user_id": [1, 2, 9], "movie_id": ids})
    form, suffix = (frame.write_csv, "csv") if ids[1] == "abc" else (frame.write_parquet, "parquet")
    form(movielens / f"interactions.{suffix}")
    genres = [row["genre"] for row in rows(movielens, "genre")]
    assert genres == [["Comedy", "Romance"], None, None]


@pytest.mark.parametrize(
    "values", [[5, 1, None, 4], [5.0, 1.5, None, 4.0], ["5", "1", "nan", "4.0"]], ids=str
)
def test_ratings_are_labels_from_some_on(values, tmp_path):
    frame = pl.DataFrame({"stars": values, "x": ["a", "b", "c", "d"]})
    frame.write_csv(tmp_path / "x.csv")
    for data in (frame, tmp_path / "x.csv"):
        table = Table.of(data).at_least("stars", 4)
        assert [row["stars"] for row in rows(table)] == [True, False, None, True]
        assert rows(table, "x") == [{"x": one} for one in "abcd"]


def test_no_ratings():
    frame = pl.DataFrame({"stars": ["5", "five"], "x": [1, 2]})
    with pytest.raises(InputError, match="row 2 of the frame has 'five', which is no number"):
        rows(Table.of(frame).at_least("stars", 4))
    dates = pl.DataFrame({"stars": [datetime(2026, 1, 1)], "x": [1]})
    with pytest.raises(InputError, match="is of ratings, and has the type timestamp"):
        rows(Table.of(dates).at_least("stars", 4))
    with pytest.raises(InputError, match="has no column 'rating'"):
        Table.of(frame).at_least("rating", 4)
