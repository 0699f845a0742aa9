import re

import pytest
import torch

from tablefree.embeddings import METHODS, DeepHashEmbedding, build
from tablefree.embeddings.budget import (
    cafe_rows,
    decoder_size,
    deep_hash_shape,
    quotient_remainder_rows,
)
from tablefree.embeddings.quantize import deployed_bytes
from tablefree.errors import InputError

DIM = 32
FREQUENT = torch.arange(2_000_000)


def sized(method, num_parameters, num_embeddings, embedding_dim=DIM, **options):
    frequent = FREQUENT[:num_embeddings]
    with torch.device("meta"):  # counts need no memory
        return build(
            method,
            num_parameters=num_parameters,
            num_embeddings=num_embeddings,
            embedding_dim=embedding_dim,
            seed="item_id",
            frequent_ids=frequent,
            **options,
        )


def spent(method, embedding):
    """Numbers that the size is to be, the ids of CAFE's hot rows among them."""
    return (
        deployed_bytes(embedding, "float32", 0) // 4
        if method == "cafe"
        else (embedding.num_parameters)
    )


def grain(method, num_embeddings):
    """Numbers by which a method grows."""
    if method == "narrow_table":
        return num_embeddings + 1 + DIM
    if method == "claimed_rows":
        return 16 * DIM
    return 2 * DIM if method == "multi_hash" else DIM


HASHED = [m for m in METHODS if m not in ("full_table", "narrow_table", "deep_hash", "sketch")]


@pytest.mark.parametrize("method", [*HASHED, "sketch"])
@pytest.mark.parametrize("code_width", [None, 8])
@pytest.mark.parametrize("part", [1, 4, 16])
def test_the_size_is_met_with_a_decoder(method, code_width, part):
    wanted = 82_629 * DIM // part
    embedding = sized(method, wanted, 82_629, decoder=(64, 32), code_width=code_width)
    assert 0.99 * wanted <= spent(method, embedding) <= wanted
    hidden = [layer.out_features for layer in embedding.network.hidden if hasattr(layer, "bias")]
    assert hidden == [64, 32]
    if code_width:
        assert embedding.encodings[0].width == code_width


@pytest.mark.parametrize("part", [1, 4, 16])
def test_a_narrow_table_is_as_wide_as_fits_with_its_decoder(part):
    wanted = 82_629 * DIM // part
    embedding = sized("narrow_table", wanted, 82_629, decoder=(64,))
    assert embedding.needs_vocabulary
    rank = embedding.encodings[0].width
    assert embedding.num_parameters <= 1.01 * wanted
    wider = sized("narrow_table", wanted, 82_629, decoder=(64,), code_width=rank + 1)
    assert wider.num_parameters > 1.01 * wanted


def test_a_full_table_has_its_decoder_on_top():
    plain, decoded = (sized("full_table", 3200, 100, decoder=hidden) for hidden in ((), (64,)))
    assert decoded.num_parameters - plain.num_parameters == decoder_size(DIM, (64,), DIM)


def test_a_sketch_has_a_row_for_each_id_of_at_least_two_numbers():
    for part, width, rows_per_id in ((4, 7, 1.14), (8, 3, 1.33), (16, 2, 1.0)):
        encoding = sized("sketch", 82_629 * DIM // part, 82_629).encoding
        assert encoding.width == width
        assert encoding.capacity / 82_629 == pytest.approx(rows_per_id * 31 / 32, rel=0.02)
        assert 4 * encoding.num_rows / encoding.capacity == pytest.approx(1 / 31, rel=0.05)


def test_a_sketch_of_few_ids_has_a_small_decoder():
    decoders = {
        part: sized("sketch", 3706 * DIM // part, 3706).options["hidden"][0] for part in (4, 16)
    }
    assert decoders == {4: 64, 16: 32}
    embedding = sized("sketch", 100 * DIM // 4, 100)
    assert embedding.options["hidden"] == [8]
    assert embedding.encoding.width == 3


def test_a_sketch_of_too_many_ids_shares_all_rows():
    encoding = sized("sketch", 82_629 * DIM // 32, 82_629).encoding
    assert (encoding.width, encoding.capacity) == (2, 0)


def test_codes_start_wider_than_embeddings():
    torch.manual_seed(0)
    for method in ("hashing_trick", "quotient_remainder", "narrow_table", "sketch"):
        sizes = {"num_parameters": 8000, "num_embeddings": 1000, "embedding_dim": 8}
        decoded = build(method, **sizes, seed=0, decoder=(16,))
        assert decoded.encodings[0](torch.arange(1000)).std().item() == pytest.approx(1, rel=0.1)
        assert decoded(torch.arange(1000)).std().item() == pytest.approx(0.1, rel=0.2)


def test_a_code_width_needs_a_decoder():
    with pytest.raises(InputError, match="hashing_trick without a decoder has no code_width"):
        sized("hashing_trick", 3200, 100, code_width=4)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "full_table"])
@pytest.mark.parametrize("num_embeddings", [1000, 3706, 82_629, 2_000_000])
@pytest.mark.parametrize("part", [1, 2, 4, 8, 16, 32, 64])
def test_the_size_is_met(method, num_embeddings, part):
    wanted = num_embeddings * DIM // part
    if method == "narrow_table" and wanted < (num_embeddings + 1 + DIM) / 1.01:
        pytest.skip("below rank 1")
    if method == "sketch" and wanted < decoder_size(2, (8,), DIM) + 8:
        pytest.skip("below its decoder")
    if method == "claimed_rows" and wanted < 20 * DIM:
        pytest.skip("below its smallest")
    got = spent(method, sized(method, wanted, num_embeddings))
    most = 1.01 * wanted if method == "narrow_table" else wanted
    assert most - max(0.01 * wanted, grain(method, num_embeddings)) <= got <= most


@pytest.mark.parametrize("num_embeddings", [1000, 3706, 82_629, 2_000_000])
def test_a_full_table_has_one_size(num_embeddings):
    full = num_embeddings * DIM
    got = sized("full_table", full, num_embeddings).num_parameters
    assert got == pytest.approx(full, rel=0.01)
    for other in (full // 2, 2 * full):
        with pytest.raises(InputError, match=f"only one size, {full} parameters here, got {other}"):
            sized("full_table", other, num_embeddings)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "full_table"])
@pytest.mark.parametrize("num_embeddings", [1, 2, 1000])
def test_too_small_a_size_names_the_smallest(method, num_embeddings):
    with pytest.raises(InputError, match=f"{method} needs at least") as error:
        sized(method, 1, num_embeddings)
    smallest = int(re.search(r"at least (\d+)", str(error.value))[1])
    assert spent(method, sized(method, smallest, num_embeddings)) <= 1.01 * smallest
    with pytest.raises(InputError, match=f"at least {smallest} parameters"):
        sized(method, smallest - 1, num_embeddings)


def test_deep_hash_shapes():
    assert deep_hash_shape(75_000, 32) == (306, (151, 151))
    num_hashes, hidden = deep_hash_shape(16_000_000, 32)
    assert num_hashes == 1024
    assert len(hidden) == 5
    assert hidden[0] == pytest.approx(1870, abs=2)


@pytest.mark.parametrize("embedding_dim", [1, 8, 64])
@pytest.mark.parametrize("num_parameters", [100, 321, 1000, 5000, 54_321, 999_999, 1_000_000])
def test_deep_hash_is_balanced_at_every_size(num_parameters, embedding_dim):
    if num_parameters <= 2 * embedding_dim + 10:
        pytest.skip("below the smallest size")
    num_hashes, hidden = deep_hash_shape(num_parameters, embedding_dim)
    assert num_hashes % 2 == 0
    assert num_hashes >= min(1024, 2 * hidden[0] - 2)
    with torch.device("meta"):
        embedding = DeepHashEmbedding(embedding_dim, num_hashes=num_hashes, hidden=hidden, seed=0)
    spent = embedding.num_parameters
    assert num_parameters - max(0.01 * num_parameters, 2 * hidden[0]) <= spent <= num_parameters


def test_quotient_remainder_gives_an_id_sixteen_pairs_where_it_can():
    remainders, quotients = quotient_remainder_rows(926, 3706)
    assert remainders + quotients == 926
    assert remainders * quotients >= 16 * 3706 > (remainders + 1) * (quotients - 1)
    assert quotient_remainder_rows(58, 3706) == (29, 29)
    assert quotient_remainder_rows(2, 3706) == (1, 1)


def test_hybrid_hash_gives_half_of_its_rows_to_the_most_frequent_ids():
    by_frequency = torch.tensor([9, 4, 7, 1, 3, 2])
    options = {"num_embeddings": 6, "embedding_dim": DIM, "seed": 0, "frequent_ids": by_frequency}
    embedding = build("hybrid_hash", num_parameters=5 * DIM, **options)
    assert embedding.frequent_ids.tolist() == [4, 9]
    assert len(embedding.rows.weight) == 3
    embedding = build("hybrid_hash", num_parameters=20 * DIM, **options)
    assert len(embedding.frequent_ids) == 6
    assert len(embedding.rows.weight) == 14


@pytest.mark.parametrize(("num_embeddings", "part"), [(82_629, 8), (3706, 64), (1000, 1)])
def test_cafe_has_hot_rows_for_seven_tenths_of_its_bytes_and_for_no_more_ids_than_there_are(
    num_embeddings, part
):
    wanted = num_embeddings * DIM // part
    embedding = sized("cafe", wanted, num_embeddings)
    hot, shared = embedding.hot.num_rows, embedding.buckets.num_buckets
    assert (hot, shared) == cafe_rows(wanted, num_embeddings, DIM)
    assert hot * (4 * DIM + 8) / (4 * wanted) == pytest.approx(0.7, abs=0.03)
    assert hot * (4 * DIM + 8) + shared * 4 * DIM <= 4 * wanted
    assert cafe_rows(100 * DIM * 3, 100, DIM)[0] == 100


def test_bad_requests_are_named():
    options = {"num_parameters": 3200, "num_embeddings": 100, "embedding_dim": DIM, "seed": 0}
    with pytest.raises(InputError, match=r"method must be one of full_table, .*; got 'table'"):
        build("table", **options)
    with pytest.raises(InputError, match="hybrid_hash needs frequent_ids"):
        build("hybrid_hash", **options)
    with pytest.raises(InputError, match=r"num_parameters must be an integer .*, got 0"):
        build("hashing_trick", **{**options, "num_parameters": 0})
