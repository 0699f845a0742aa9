import pytest
import torch
from torch import nn

from tablefree import FullTable, InputError, MultiHash, SketchEmbedding, convert
from tablefree.conversion import ConvertedEmbedding, ConvertedEmbeddingBag
from tablefree.conversion.to_embeddings import CONVERSION_METHODS
from tablefree.hashing import seed_from


def names(report):
    return [table.name for table in report.replaced]


def test_tables_are_replaced_in_place(ranker, batch):
    small = ranker.fields[1]
    model, report = convert(ranker)
    assert model is ranker
    assert names(report) == ["user", "item", "fields.0", "tags"]
    assert not report.refused
    assert isinstance(model.fields[0], ConvertedEmbedding)
    assert isinstance(model.tags, ConvertedEmbeddingBag)
    assert model.fields[1] is small
    model(*batch).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_rule_chooses_by_rows_and_name(ranker):
    _, report = convert(ranker, min_rows=10, pattern="fields.*")
    assert names(report) == ["fields.0"]
    assert "sketch needs at least" in report.refused["fields.1"]
    _, report = convert(ranker, method="hashing_trick", min_rows=10, pattern="*.1")
    assert names(report) == ["fields.1"]
    assert names(convert(ranker, min_rows=2001)[1]) == []


def test_what_is_converted_stays(ranker):
    _, first = convert(ranker)
    assert len(first.replaced) == 4
    _, second = convert(ranker, min_rows=100)
    assert not second.replaced
    assert not second.refused
    assert not convert(nn.Sequential(FullTable(2000, 8)))[1].replaced


@pytest.mark.parametrize("method", CONVERSION_METHODS)
def test_sizes_are_shares_of_the_tables(method, ranker):
    _, report = convert(ranker, method=method, size=0.5)
    for table in report.replaced:
        assert table.bytes_before == 4 * table.num_embeddings * table.embedding_dim
        # A narrow table grows by its rank; batch norm and rows that ids own have buffers too.
        least = 0.3 if method == "narrow_table" else 0.49
        assert least <= table.bytes_after / table.bytes_before <= 0.58


def test_a_total_is_shared_by_the_tables_that_are_replaced(ranker):
    ranker.score.weight = nn.Parameter(ranker.item.weight)
    ranker.score.weight = ranker.item.weight
    _, report = convert(ranker, num_parameters=8000, method="multi_hash")
    assert "item" in report.refused
    assert report.bytes_after == pytest.approx(4 * 8000, rel=0.01)
    shares = [table.bytes_after / table.bytes_before for table in report.replaced]
    assert max(shares) / min(shares) < 1.02


def test_the_name_is_the_seed(ranker):
    model, _ = convert(ranker)
    assert model.fields[0].embedding.encoding.buckets.seed == seed_from("fields.0")


@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
def test_device_dtype_mode_and_scale_stay():
    table = nn.Embedding(1000, 8, dtype=torch.bfloat16).eval()
    with torch.no_grad():
        table.weight.mul_(1e-3)
    for method in CONVERSION_METHODS:
        converted, _ = convert(nn.Sequential(table), method=method)
        assert not converted[0].training
        if method == "claimed_rows":  # ids are neutral until they learn
            converted[0].train()
        rows = converted[0](torch.arange(1000))
        assert rows.dtype == torch.bfloat16
        assert float(rows.detach().float().std()) == pytest.approx(1e-3, rel=0.6)
    on_meta, report = convert(nn.Embedding(1000, 8, device="meta"))
    assert len(report.replaced) == 1
    assert all(parameter.is_meta for parameter in on_meta.parameters())


@pytest.mark.parametrize(("std", "code_std"), [(1e-4, 0.01), (0.05, 0.05), (1.0, 1.0)])
def test_a_sketch_learns_by_the_recipe_of_the_table(std, code_std):
    """Its rows start as small as the table's, and a step of Adam is as long for both."""
    draw = torch.Generator().manual_seed(0)
    table = nn.Embedding(1000, 8, _weight=std * torch.randn(1000, 8, generator=draw))
    sketch, _ = convert(table)
    code = sketch.embedding.encoding(torch.arange(1000)).detach()
    assert float(code.std()) == pytest.approx(code_std, rel=0.2)
    assert sketch.embedding.encoding.std == pytest.approx(code_std, rel=0.02)


def test_rows_of_zeros_start_at_zero_and_learn():
    table = nn.Embedding(1000, 8, _weight=torch.zeros(1000, 8))
    converted, _ = convert(table)
    rows = converted(torch.arange(9))
    assert not rows.any()
    (rows - 1).square().sum().backward()
    assert converted.embedding.network.output.weight.grad.any()


def test_a_module_under_two_names_is_replaced_under_both():
    model = nn.ModuleDict({"a": nn.Embedding(1000, 8), "b": nn.Sequential()})
    model["b"].append(model["a"])
    convert(model)
    assert isinstance(model["a"], ConvertedEmbedding)
    assert model["b"][0] is model["a"]


def test_the_model_may_be_a_table():
    converted, report = convert(nn.Embedding(1000, 8), method="multi_hash")
    assert isinstance(converted.embedding, MultiHash)
    assert "(the model)" in str(report)


def test_distilled_embeddings_are_near_the_tables():
    draw = torch.Generator().manual_seed(0)
    factors = torch.randn(2000, 2, generator=draw), torch.randn(2, 8, generator=draw)
    rows = 0.01 * factors[0] @ factors[1]
    table = nn.Embedding(2000, 8, padding_idx=5, _weight=rows.clone())
    with torch.no_grad():
        table.weight[5] = 9.0  # whatever is there, nobody is to learn it
    converted, report = convert(
        table.requires_grad_(False), size=0.5, distill={"steps": 200, "batch_size": 500}
    )
    assert isinstance(converted.embedding, SketchEmbedding)
    assert report.replaced[0].variance_kept > 0.8
    embedded = converted(torch.arange(2000))
    assert not embedded[5].any()
    others = torch.arange(2000) != 5
    errors = (embedded - rows)[others].square().mean()
    assert 1 - errors / rows[others].var() == pytest.approx(
        report.replaced[0].variance_kept, abs=0.05
    )
    assert not any(parameter.requires_grad for parameter in converted.parameters())


def test_tables_that_cannot_be_distilled_are_refused():
    table = nn.Embedding(1000, 8)
    with torch.no_grad():
        table.weight[3] = float("nan")
    model, report = convert(nn.Sequential(table), distill=True)
    assert "must be finite" in report.refused["0"]
    assert model[0] is table
    equal = nn.Embedding(1000, 8, _weight=torch.full((1000, 8), 0.5))
    converted, _ = convert(equal, distill={"steps": 300}, method="hashing_trick")
    torch.testing.assert_close(
        converted(torch.arange(9)).detach(), torch.full((9, 8), 0.5), atol=0.1, rtol=0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "full_table"}, "method must be one of narrow_table"),
        ({"method": "hybrid_hash"}, "method must be one of"),
        ({"size": 0}, "size must be above 0 and at most 1, got 0"),
        ({"size": 1.5}, "size must be above 0"),
        ({"num_parameters": 0}, "num_parameters must be an integer of at least 1"),
        ({"min_rows": 0}, "min_rows must be an integer"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        convert(nn.Embedding(1000, 8), **options)
