import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tablefree.data.read import read_interactions
from tablefree.errors import InputError
from tablefree.ids import to_ids

CSV = "user_id,item_id,rating,timestamp\n7,b,5,30\n9,a,2,10\n7,a,4.5,20\n"


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def feature(features, name):
    assert features is not None
    return features.values[:, features.names.index(name)].tolist()


def events(data):
    return [
        (int(data.user_ids[u]), int(data.item_ids[i]))
        for u, i in zip(data.user, data.item, strict=True)
    ]


# MovieLens


def movielens_100k(folder: Path) -> Path:
    write(folder / "u.data", "3\t11\t5\t880000000\n1\t12\t2\t880000001\n3\t12\t4\t880000002\n")
    write(folder / "u.user", "1|17|F|artist|00000\n3|56|M|writer|T8H1N\n")
    flags = {11: "0|1|0" + "|0" * 16, 12: "0|0|0|0|1" + "|0" * 14}
    write(
        folder / "u.item",
        f'11|Café "X" (1957)|01-Jan-1957||http://x|{flags[11]}\n12|unknown||||{flags[12]}\n',
        "latin-1",
    )
    return folder


def movielens_1m(folder: Path) -> Path:
    write(folder / "ratings.dat", "3::11::5::978300760\r\n1::12::2::978300761\r\n")
    write(folder / "users.dat", "1::F::1::10::48067\n3::M::56::16::70072\n")
    write(
        folder / "movies.dat",
        "11::Café\x85 (1957)::Action|Children's\n12::B (II) (1990)::Drama\n",
        "latin-1",
    )
    return folder


def movielens_20m(folder: Path) -> Path:
    write(folder / "ratings.csv", "userId,movieId,rating,timestamp\n3,11,4.5,7\n1,12,0.5,8\n")
    write(
        folder / "movies.csv",
        'movieId,title,genres\n11,"A, The (1957)",Action|Drama\n12,B,(no genres listed)\n',
    )
    return folder


@pytest.mark.parametrize("layout", [movielens_100k, movielens_1m, movielens_20m])
@pytest.mark.parametrize("packed", [False, True])
def test_movielens_in_the_owners_layouts(tmp_path, layout, packed):
    path = layout(tmp_path / "ml-x")
    if packed:
        with zipfile.ZipFile(tmp_path / "ml-x.zip", "w") as archive:
            for file in path.iterdir():
                archive.write(file, f"ml-x/{file.name}")
        path = tmp_path / "ml-x.zip"
    data = read_interactions(path)
    assert data.name == "ml-x"
    assert events(data)[:2] == [(3, 11), (1, 12)]
    assert data.label is None
    assert data.rating is not None
    assert data.timestamp is not None
    assert data.rating[0] > data.rating[1]
    assert data.timestamp[0] < data.timestamp[1]
    assert feature(data.item_features, "genre=Action") == [1, 0]
    assert feature(data.item_features, "decade=1950") == [1, 0]


@pytest.mark.parametrize("layout", [movielens_100k, movielens_1m])
def test_movielens_users(tmp_path, layout):
    data = read_interactions(layout(tmp_path / "ml"))
    assert feature(data.user_features, "gender=F") == [0, 1]
    assert feature(data.user_features, "age=56") == [1, 0]
    assert feature(data.user_features, "age=1") == [0, 1]
    assert sum(name.startswith("occupation=") for name in data.user_features.names) == 2


def test_movielens_items_without_year_or_genre(tmp_path):
    data = read_interactions(movielens_20m(tmp_path / "ml"))
    assert not data.item_features.values[1].any()


def test_movielens_parquet_beside_the_owners_features(tmp_path):
    folder = movielens_1m(tmp_path / "ml-1m")
    (folder / "ratings.dat").unlink()
    frame = pl.DataFrame({"user_id": [3, 1], "movie_id": [11, 12]}, schema_overrides={})
    frame.cast(pl.Int32).write_parquet(folder / "interactions.parquet")
    data = read_interactions(folder)
    assert events(data) == [(3, 11), (1, 12)]
    assert feature(data.user_features, "gender=F") == [0, 1]
    assert feature(data.item_features, "genre=Drama") == [0, 1]


def test_movielens_takes_no_column_names(tmp_path):
    with pytest.raises(InputError, match=r"columns are known: leave out the column names .u."):
        read_interactions(movielens_1m(tmp_path / "ml"), user_column="u")


def test_a_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x/readme.txt", "hello")
    with pytest.raises(InputError, match="not a MovieLens zip"):
        read_interactions(tmp_path / "x.zip")


def test_a_truncated_zip(tmp_path):
    folder = movielens_1m(tmp_path / "ml")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(folder / "ratings.dat", "ml/ratings.dat")
    whole = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(whole[:-30])
    with pytest.raises(InputError, match=r"not a whole zip file.*download it again"):
        read_interactions(tmp_path / "x.zip")


# Amazon

JSON_LINES = (
    '{"reviewerID": "A1AAAAAAAAAAAA", "asin": "0000000001", "helpful": [0, 0], "overall": 5.0, '
    '"reviewText": "x, y", "unixReviewTime": 1252800000, "reviewTime": "09 13, 2009"}\n'
    '{"reviewerID": "A2AAAAAAAAAAAA", "asin": "B000000002", "helpful": [1, 2], "overall": 1.0, '
    '"reviewText": "z", "unixReviewTime": 1252900000, "reviewTime": "09 14, 2009"}\n'
)
AMAZON_IDS = [("A1AAAAAAAAAAAA", "0000000001"), ("A2AAAAAAAAAAAA", "B000000002")]


def hashed(pairs):
    users, items = zip(*pairs, strict=True)
    return list(zip(to_ids(list(users)).tolist(), to_ids(list(items)).tolist(), strict=True))


@pytest.mark.parametrize("name", ["reviews_X_5.json", "reviews_X_5.json.gz"])
def test_amazon_json_lines(tmp_path, name):
    opener = gzip.open if name.endswith("gz") else open
    with opener(tmp_path / name, "wt") as file:
        file.write(JSON_LINES)
    data = read_interactions(tmp_path / name, positive_rating=4)
    assert data.name == "reviews_X_5"
    assert events(data) == hashed(AMAZON_IDS)
    assert data.label.tolist() == [1, 0]
    assert data.timestamp.tolist() == [1252800000 * 10**9, 1252900000 * 10**9]


@pytest.mark.parametrize("item_first", [True, False])
def test_amazon_ratings_without_header(tmp_path, item_first):
    lines = ""
    for user, item in AMAZON_IDS:
        pair = (item, user) if item_first else (user, item)
        lines += f"{pair[0]},{pair[1]},5.0,1252800000\n"
    data = read_interactions(write(tmp_path / "X.csv", lines))
    assert events(data) == hashed(AMAZON_IDS)
    assert data.rating.tolist() == [5, 5]


def test_amazon_ratings_that_could_be_either_way(tmp_path):
    path = write(tmp_path / "X.csv", "A000000001,B000000001,5.0,1252800000\n")
    with pytest.raises(InputError, match=r"cannot be told which .* add a header line"):
        read_interactions(path)


def test_amazon_2023_in_milliseconds(tmp_path):
    with gzip.open(tmp_path / "X.csv.gz", "wt") as file:
        file.write("user_id,parent_asin,rating,timestamp\nAE,B1,5.0,1588687728923\n")
    data = read_interactions(tmp_path / "X.csv.gz")
    assert events(data) == hashed([("AE", "B1")])
    assert data.timestamp.tolist() == [1588687728923 * 10**6]


# RecBole


def test_recbole_with_side_features(tmp_path):
    path = write(
        tmp_path / "x/x.inter",
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n3\t11\t5\t8.8e8\n1\t12\t2\t9\n",
    )
    write(tmp_path / "x/x.user", "user_id:token\tage:token\tgender:token\n1\t17\tF\n3\t60\tM\n")
    write(
        tmp_path / "x/x.item",
        "item_id:token\ttitle:token_seq\trelease_year:token\tclass:token_seq\n"
        "11\tA B\t1957\tAction Drama\n12\tC\tV\tDrama\n",
    )
    for data in (read_interactions(tmp_path / "x"), read_interactions(path)):
        assert events(data) == hashed([("3", "11"), ("1", "12")])  # a token is a string
        assert data.timestamp.tolist() == [880000000 * 10**9, 9 * 10**9]
        assert feature(data.user_features, "age=56") == [1, 0]
        assert feature(data.item_features, "genre=Action") == [1, 0]
        assert data.item_features.names == ("genre=Action", "genre=Drama", "decade=1950")
    data = read_interactions(path, user_feature_columns=["age"])
    assert data.user_features.names == ("age=17", "age=60")
    assert feature(data.user_features, "age=60") == [1, 0]
    data = read_interactions(path, item_feature_columns=["class"])
    assert data.item_features.names == ("class=Action", "class=Drama")


def test_recbole_without_side_features(tmp_path):
    path = write(tmp_path / "x.inter", "user_id:token\titem_id:token\na\tb\n")
    assert read_interactions(path).user_features is None
    with pytest.raises(InputError, match=r"x\.user does not exist, and it should hold age"):
        read_interactions(path, user_feature_columns=["age"])


# Named columns


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.tsv", "x.parquet", "x.jsonl"])
def test_named_columns_in_every_form(tmp_path, name):
    frame = pl.DataFrame(
        {
            "user_id": [7, 9, 7],
            "item_id": ["b", "a", "a"],
            "rating": [5.0, 2.0, 4.5],
            "timestamp": [30, 10, 20],
        }
    )
    path = tmp_path / name
    if name.endswith("gz"):
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    elif name.endswith("csv"):
        frame.write_csv(path)
    elif name.endswith("tsv"):
        frame.write_csv(path, separator="\t")
    elif name.endswith("parquet"):
        frame.write_parquet(path)
    else:
        frame.write_ndjson(path)
    for data in (read_interactions(path), read_interactions(tmp_path)):
        assert data.user.tolist() == [0, 1, 0]
        assert data.item.tolist() == [0, 1, 1]
        assert data.user_ids.tolist() == [7, 9]
        assert data.item_ids.tolist() == to_ids(["b", "a"]).tolist()
        assert data.rating.tolist() == [5, 2, 4.5]
        assert (data.timestamp // 10**9).tolist() == [30, 10, 20]
        assert (data.user.dtype, data.user_ids.dtype, data.rating.dtype, data.timestamp.dtype) == (
            np.int64,
            np.int64,
            np.float32,
            np.int64,
        )
        assert (data.num_events, data.num_users, data.num_items) == (3, 2, 2)


def test_own_names_labels_and_side_features(tmp_path):
    path = write(
        tmp_path / "x.csv",
        "visitor,article,clicked,price,kind,city\n"
        "u,1,1,10,a,\nv,2,0,30,b,Rome\nu,2,1,30,b,Oslo\nw,3,0,,a,Rome\n",
    )
    data = read_interactions(
        path,
        user_column="visitor",
        item_column="article",
        label_column="clicked",
        user_feature_columns=["city"],
        item_feature_columns=["price", "kind"],
    )
    assert data.label.tolist() == [1, 0, 1, 0]
    assert data.rating is data.timestamp is None
    assert data.item_features.names == ("price", "kind=a", "kind=b")
    assert feature(data.item_features, "price") == pytest.approx([10, 30, np.nan], nan_ok=True)
    assert data.item_features.are_numbers == (True, False, False)
    assert feature(data.item_features, "kind=b") == [0, 1, 0]
    # The first row of a user counts, and u has no city there.
    assert data.user_features.names == ("city=Rome",)
    assert feature(data.user_features, "city=Rome") == [0, 1, 1]


def test_a_constant_numeric_feature_says_nothing(tmp_path):
    path = write(tmp_path / "x.csv", "user_id,item_id,p\n1,2,5\n3,4,5\n")
    data = read_interactions(path, item_feature_columns=["p"])
    assert feature(data.item_features, "p") == [5, 5]
    assert data.item_features.scaled(np.ones(2, bool)).shape == (2, 0)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (["5", "-3", "0"], [5, -3, 0]),
        (["0060393203", "1384719342"], None),  # a leading zero is part of an ISBN
        (["18446744073709551615"], [-1]),
        (["99999999999999999999999"], None),
        (["007", "0012"], None),
        (["1e5", "a7", "b"], None),
    ],
)
def test_ids_of_a_text_file_are_integers_only_if_all_are(tmp_path, ids, expected):
    path = write(tmp_path / "x.csv", "user_id,item_id\n" + "".join(f"1,{i}\n" for i in ids))
    data = read_interactions(path)
    assert data.item_ids.tolist() == (expected or to_ids(ids).tolist())


def test_strings_of_digits_in_parquet_stay_strings(tmp_path):
    path = tmp_path / "x.parquet"
    frame = pl.DataFrame({"user_id": ["1", "2"], "item_id": ["a", "b"]})
    frame.with_columns(pl.col("item_id").cast(pl.Categorical)).write_parquet(path)
    data = read_interactions(path)
    assert data.user_ids.tolist() == to_ids(["1", "2"]).tolist()
    assert data.item_ids.tolist() == to_ids(["a", "b"]).tolist()


def test_dates_and_fine_timestamps(tmp_path):
    seconds = 1_600_000_000
    for unit, factor in (("ms", 10**3), ("us", 10**6), ("ns", 10**9)):
        stamp = pl.Series([seconds * factor], dtype=pl.Int64)
        for column in (stamp, stamp.cast(pl.Datetime(unit))):
            frame = pl.DataFrame({"user_id": [1], "item_id": [2], "timestamp": column})
            frame.write_parquet(tmp_path / "x.parquet")
            assert read_interactions(tmp_path / "x.parquet").timestamp.tolist() == [seconds * 10**9]


def test_repeated_pairs_are_kept(tmp_path):
    data = read_interactions(write(tmp_path / "x.csv", "user_id,item_id\n1,2\n1,2\n"))
    assert data.num_events == 2


def test_a_name_with_a_wildcard_is_a_name(tmp_path):
    assert read_interactions(write(tmp_path / "x[1]*.csv", CSV)).num_events == 3


# Bad input: one line that says what, where and what to do


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"x\.csv cannot be read \(Empty"),
        ("user_id,item_id\n", r"x\.csv holds no rows"),
        (
            "user_id,movie\n1,2\n",
            r"no column 'item_id' \(item\); its columns are 'user_id', 'movie'",
        ),
        ("user_id,item_id\n1,2\n,3\n", r"row 2 of .*x\.csv has no user id \(1 such rows"),
        (
            "user_id,item_id\n1.0,2\n2.0,3\n",
            r"row 1 of .* has the user id '1.0', no integer as a program",
        ),
        ("user_id,item_id\n1.5,2\nnan,3\n", r"row 1 of .* has the user id '1.5'"),
        (
            "user_id,item_id\n1,2\n22,3\nabc,3\n",
            r"row 3 of .* has the user id 'abc'.* most are num",
        ),
        ("user_id,item_id,label\n1,2,1\n1,3,1\n", r"all labels of .* are 1, and both"),
        ("user_id,item_id,label\n1,2,1\n1,3,4\n", r"labels must be 0 or 1, row 2 .* has 4"),
        ("user_id,item_id,label\n1,2,1\n1,3,\n", r"row 2 .* has no label"),
        (
            "user_id,item_id\n1,2\n1,2,3\n",
            r"cannot be read \(CSV.* Row #3: Expected 2 columns, got 3",
        ),
    ],
)
def test_bad_text_files(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as raised:
        read_interactions(write(tmp_path / "x.csv", text))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"user_id": [1.0, 2.0]}, r"are floats \(Float64"),
        ({"user_id": [1.0, float("nan")]}, r"are floats \(Float64, such as"),
        ({"user_id": [None, 2]}, r"row 1 of .* has no user id"),
        ({"user_id": [True, False]}, r"are of type Boolean: ids must be integers or strings"),
    ],
)
def test_bad_columns(tmp_path, columns, message):
    pl.DataFrame({"item_id": [1, 2]} | columns).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=message):
        read_interactions(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"item_column": "article"}, r"no column 'article' \(item\); its columns are 'user_id'"),
        ({"item_feature_columns": ["price"]}, r"no column 'price' \(feature\)"),
        ({"positive_rating": 6}, r"all labels .* choose another positive_rating than 6"),
        ({"positive_rating": 4, "label_column": "rating"}, "use one of the two"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        read_interactions(write(tmp_path / "x.csv", CSV), **arguments)


def test_positive_rating_without_ratings(tmp_path):
    path = write(tmp_path / "x.csv", "user_id,item_id\n1,2\n")
    with pytest.raises(InputError, match="positive_rating needs a rating column"):
        read_interactions(path, positive_rating=4)


def test_too_many_categories(tmp_path):
    rows = "".join(f"{i},{i},c{i}\n" for i in range(300))
    path = write(tmp_path / "x.csv", "user_id,item_id,city\n" + rows)
    with pytest.raises(InputError, match=r"city of .* has 300 categories and at most 256"):
        read_interactions(path, user_feature_columns=["city"])


@pytest.mark.parametrize("name", ["x.parquet", "x.csv.gz"])
def test_truncated_files(tmp_path, name):
    path = tmp_path / name
    frame = pl.DataFrame({"user_id": range(1000), "item_id": range(1000)})
    if name.endswith("parquet"):
        frame.write_parquet(path)
    else:
        path.write_bytes(gzip.compress(frame.write_csv().encode()))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=f"{name} cannot be read"):
        read_interactions(path)


def test_what_is_not_gzip(tmp_path):
    with pytest.raises(InputError, match=r"x\.csv\.gz cannot be read"):
        read_interactions(write(tmp_path / "x.csv.gz", CSV))


def test_json_lines_of_mixed_type(tmp_path):
    lines = '{"user_id": 1, "item_id": 2}\n' * 20_000 + '{"user_id": "a", "item_id": 2}\n'
    with pytest.raises(InputError, match=r"row 20001 of .*x.jsonl has strings in .* 'user_id'"):
        read_interactions(write(tmp_path / "x.jsonl", lines))


def test_paths_that_are_no_data(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_interactions(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no known form.*it holds nothing.*recognised are MovieL"):
        read_interactions(tmp_path)
    path = write(tmp_path / "x.xlsx", "hello")
    with pytest.raises(InputError, match=r"x\.xlsx is in no known form: recognised are"):
        read_interactions(path)
    write(tmp_path / "a.csv", CSV)
    write(tmp_path / "b.tsv", CSV)
    with pytest.raises(InputError, match=r"it holds a\.csv, b\.tsv, x\.xlsx"):
        read_interactions(tmp_path)


# The owners' data, where it is at hand

SIZES = {
    "ml-100k": (100_000, 943, 1_682),
    "ml-1m": (1_000_209, 6_040, 3_706),
    "amazon-books": (603_378, 52_639, 82_629),
    "amazon-musical-instruments": (10_261, 1_429, 900),
}


@pytest.mark.parametrize("name", SIZES)
def test_real_data(name):
    if "TABLEFREE_DATA" not in os.environ:
        pytest.skip("TABLEFREE_DATA is not set")
    data = read_interactions(Path(os.environ["TABLEFREE_DATA"]) / name)
    assert (data.num_events, data.num_users, data.num_items) == SIZES[name]
    assert (np.bincount(data.user) > 0).all()
    assert (np.bincount(data.item) > 0).all()
    assert len(np.unique(data.user_ids)) == data.num_users
    assert len(np.unique(data.item_ids)) == data.num_items
    if name.startswith("ml"):
        assert data.user_features.values.shape == (data.num_users, 30)
        assert np.isfinite(data.item_features.values).all()


# Types of ids


@pytest.mark.parametrize(
    ("user", "item", "types"),
    [
        ("7", "b", ("integer", "string")),
        ("007", "12", ("string", "integer")),  # an ISBN is a string, even where all are digits
        (str(2**64 - 1), "-5", ("integer", "integer")),
    ],
)
def test_the_types_of_ids_are_known(tmp_path, user, item, types):
    data = read_interactions(write(tmp_path / "x.csv", f"user_id,item_id\n{user},{item}\n"))
    assert (data.user_id_type, data.item_id_type) == types


@pytest.mark.parametrize(
    ("column", "id_type"),
    [
        (pl.Series([1, 2], dtype=pl.UInt8), "integer"),
        (pl.Series(["1", "2"]), "string"),
        (pl.Series([b"1", b"2"]), "string"),
        (pl.Series(["1", "2"], dtype=pl.Categorical), "string"),
    ],
)
def test_the_types_of_ids_are_those_of_a_typed_column(tmp_path, column, id_type):
    frame = pl.DataFrame({"user_id": column, "item_id": [5, 6]})
    frame.write_parquet(tmp_path / "x.parquet")
    data = read_interactions(tmp_path / "x.parquet")
    assert (data.user_id_type, data.item_id_type) == (id_type, "integer")


def test_nan_among_the_integers_of_a_csv_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"row 2 of .* has the user id 'nan'"):
        read_interactions(write(tmp_path / "x.csv", "user_id,item_id\n1,a\nnan,b\n3,c\n"))
