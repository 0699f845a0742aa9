import pytest
import torch

from tablefree import InputError, presets


def test_the_papers_embedding_has_the_size_of_its_arithmetic():
    with torch.device("meta"):
        embedding = presets.kdd2021(32, seed="item_id")
    assert embedding.num_parameters == 14_887_832  # batch norm included
    assert embedding.multiply_adds == 1024 * 1800 + 4 * 1800**2 + 1800 * 32
    assert embedding.options["activation"] == "mish"
    assert embedding.options["norm"] == "batch"


@pytest.mark.parametrize(("size", "share"), [(1 / 4, 0.99), (1 / 8, 0.99), (1 / 16, 0.9)])
def test_expected_ids_have_rows_of_their_own(size, share):
    embedding = presets.sketch(32, capacity=20_000, size=size, seed="item_id")
    assert embedding.num_parameters == pytest.approx(size * 20_000 * 32, rel=0.01)
    embedding(torch.arange(20_000))
    rows = embedding.encoding.claims(torch.arange(20_000))
    assert (rows >= 0).float().mean() > share


def test_a_sketch_that_is_too_small_is_refused():
    with pytest.raises(InputError, match="sketch needs at least"):
        presets.sketch(32, capacity=40, seed=0)
    for size in (float("inf"), float("nan"), -1):
        with pytest.raises(InputError, match="size must be above 0 and finite"):
            presets.sketch(32, capacity=4000, size=size, seed=0)
