"""MovieLens (Harper and Konstan 2015): the owner's files of every size, as zip or folder.

All sizes give the same side features: age group, gender and occupation of users where the owner
publishes them; genres and the decade of release of movies.
"""

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from tablefree.data.columns import Tables
from tablefree.errors import InputError

# The groups of MovieLens 1M, named there by their youngest age (1: under 18).
AGE_GROUPS = (1, 18, 25, 35, 45, 50, 56)

GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)

FORM = "MovieLens"
HEADER_20M = "userId,movieId,rating,timestamp"

RATINGS_FILES = ("u.data", "ratings.dat", "ratings.csv")
FEATURE_FILES = ("u.user", "u.item", "users.dat", "movies.dat", "movies.csv")


def read_folder(folder: Path) -> Tables | None:
    """Read an unpacked MovieLens folder; None when it is not one."""
    read = _reader_of(folder)
    return None if read is None else read(folder)


def is_movielens(path: Path) -> bool:
    """Whether a path is read as MovieLens: a zip, or an unpacked folder."""
    return path.suffix.lower() == ".zip" or (path.is_dir() and _reader_of(path) is not None)


def _reader_of(folder: Path) -> Callable[[Path], Tables] | None:
    if (folder / "u.data").is_file():
        return _read_100k
    if (folder / "ratings.dat").is_file():
        return _read_1m
    if (folder / "ratings.csv").is_file():
        with (folder / "ratings.csv").open(encoding="utf-8") as file:
            if file.readline().strip() == HEADER_20M:
                return _read_20m
    return None


def read_zip(path: Path) -> Tables:
    """Read the owner's zip by unpacking what is needed into a temporary folder."""
    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as temporary:
            for member in archive.infolist():
                name = Path(member.filename).name
                if name in RATINGS_FILES + FEATURE_FILES:
                    member.filename = name  # without the zip's top folder
                    archive.extract(member, temporary)
            tables = read_folder(Path(temporary))
    except (zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path} is not a whole zip file ({error}): download it again") from error
    if tables is None:
        raise InputError(
            f"{path} is not a MovieLens zip: it holds none of {', '.join(RATINGS_FILES)} in the "
            "owner's form; unpack other archives first"
        )
    return replace(tables, source=str(path))


def features_1m(folder: Path) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Read users.dat and movies.dat, each if it is there."""
    users = items = None
    if (folder / "users.dat").is_file():
        users = _read_dat(folder / "users.dat", ["user", "gender", "age", "occupation", "zip"])
        users = users.select(pl.col("user").cast(pl.Int64), "gender", "age", "occupation")
    if (folder / "movies.dat").is_file():
        movies = _read_dat(folder / "movies.dat", ["item", "title", "genres"])
        items = _movies(movies.with_columns(pl.col("item").cast(pl.Int64)))
    return users, items


def age_group(age: pl.Expr) -> pl.Expr:
    """Return the group of MovieLens 1M to which an age in years belongs."""
    youngest = pl.max_horizontal(pl.when(age >= least).then(least) for least in AGE_GROUPS)
    return youngest.cast(pl.String).alias("age")


def decade(year: pl.Expr) -> pl.Expr:
    """Return the decade of a year, such as "1990"."""
    return (year.cast(pl.Int64, strict=False) // 10 * 10).cast(pl.String).alias("decade")


# The same features in RecBole's files, which name them otherwise.
RECBOLE_FEATURES = {
    "age": age_group(pl.col("age").cast(pl.Float64, strict=False)),
    "gender": pl.col("gender"),
    "occupation": pl.col("occupation"),
    "class": pl.col("class").str.split(" ").alias("genre"),
    "release_year": decade(pl.col("release_year")),
}


def _read_100k(folder: Path) -> Tables:
    events = _read_separated(
        folder / "u.data", "\t", ["user", "item", "rating", "timestamp"], dtype=pl.Int64
    )
    users = items = None
    if (folder / "u.user").is_file():
        columns = ["user", "age", "gender", "occupation", "zip"]
        users = _read_separated(folder / "u.user", "|", columns).select(
            pl.col("user").cast(pl.Int64),
            age_group(pl.col("age").cast(pl.Int64)),
            "gender",
            "occupation",
        )
    if (folder / "u.item").is_file():
        columns = ["item", "title", "date", "video_date", "address", *GENRES_100K]
        items = _read_separated(folder / "u.item", "|", columns).select(
            pl.col("item").cast(pl.Int64),
            pl.concat_list(
                pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in GENRES_100K
            )
            .list.drop_nulls()
            .alias("genre"),
            decade(pl.col("date").str.extract(r"(\d{4})$")),
        )
    return Tables(str(folder), events, users, items, form=FORM)


def _read_1m(folder: Path) -> Tables:
    ratings = _read_dat(folder / "ratings.dat", ["user", "item", "rating", "timestamp"])
    return Tables(str(folder), ratings.cast(pl.Int64), *features_1m(folder), form=FORM)


def _read_20m(folder: Path) -> Tables:
    """Read 20M, 25M and 32M, whose files differ in size only."""
    events = pl.read_csv(
        folder / "ratings.csv",
        glob=False,
        new_columns=["user", "item", "rating", "timestamp"],
        schema_overrides=[pl.Int32, pl.Int32, pl.Float32, pl.Int64],
    )
    items = None
    if (folder / "movies.csv").is_file():
        movies = pl.read_csv(folder / "movies.csv", schema_overrides={"movieId": pl.Int64})
        items = _movies(movies.rename({"movieId": "item"}))
    return Tables(str(folder), events, None, items, form=FORM)


def _movies(movies: pl.DataFrame) -> pl.DataFrame:
    """Turn `title (year)` and `genre|genre` into features."""
    genres = pl.col("genres").replace("(no genres listed)", None).str.split("|")
    year = pl.col("title").str.extract(r"\((\d{4})\)\s*$")
    return movies.select("item", genres.alias("genre"), decade(year))


def _read_separated(
    path: Path, separator: str, columns: Sequence[str], dtype: type[pl.DataType] = pl.String
) -> pl.DataFrame:
    return pl.read_csv(
        path,
        separator=separator,
        has_header=False,
        quote_char=None,
        encoding="iso-8859-1",
        schema=dict.fromkeys(columns, dtype),
    )


def _read_dat(path: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Read a Latin-1 file separated by `::`, which readers of CSV do not take."""
    lines = path.read_text(encoding="iso-8859-1").split("\n")
    fields = pl.col("line").str.split_exact("::", len(columns) - 1).struct.rename_fields(columns)
    frame = pl.DataFrame({"line": lines}).filter(pl.col("line").str.len_bytes() > 0)
    return frame.select(fields.struct.unnest())
