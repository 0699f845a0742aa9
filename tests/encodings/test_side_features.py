"""Laws of the features of ids: looked up by the id alone, zero elsewhere, never trained."""

import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.embeddings import DecodedEmbedding, FullTable, from_config
from tablefree.encodings import (
    BagFeatures,
    DenseHashEncoding,
    SideFeatures,
    SketchEncoding,
    multi_hot,
    standardise,
)
from tablefree.errors import InputError
from tablefree.training.optimizers import rows_of

KNOWN = torch.tensor([42, -7, 2**62, 5])
UNKNOWN = torch.tensor([0, -(2**63), 2**63 - 1, 43])
VALUES = torch.tensor([[0.5, 1.0, 0.0], [-2.0, 0.0, 1.0], [1.5, 1.0, 1.0], [0.0, 0.0, 0.0]])
TAGS = torch.tensor([10, 11, 10, 12, 13])
OFFSETS = torch.tensor([0, 2, 2, 3, 5])  # the bag of -7 is empty

distinct_ids = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20, unique=True)


def side_features():
    return SideFeatures(KNOWN, VALUES)


def bag_features(alpha=0.5):
    tags = SketchEncoding(50, 4, num_hashes=2, seed="tag")
    return BagFeatures(tags, KNOWN, TAGS, OFFSETS, alpha=alpha)


both = pytest.mark.parametrize("make", [side_features, bag_features])


def embedding(**options):
    codes = [SketchEncoding(50, 4, seed="id"), side_features(), bag_features()]
    return DecodedEmbedding(6, codes, hidden=(8,), **options)


@given(distinct_ids, st.randoms(use_true_random=False))
def test_the_order_of_the_ids_is_of_no_account(ids, random):
    values = torch.randn(len(ids), 3, generator=torch.Generator().manual_seed(0))
    order = random.sample(range(len(ids)), len(ids))
    known = torch.tensor(ids)
    one, other = SideFeatures(known, values), SideFeatures(known[order], values[order])
    assert torch.equal(one(known[order]), other(known)[order])
    assert torch.equal(one(known), torch.cat([values, torch.ones(len(ids), 1)], dim=1))


@given(distinct_ids, distinct_ids)
def test_only_known_ids_have_features(ids, asked):
    codes = SideFeatures(torch.tensor(ids), torch.ones(len(ids), 2))(torch.tensor(asked))
    is_known = torch.tensor([id in ids for id in asked])
    assert torch.equal(codes, is_known[:, None].float().expand(-1, 3))


@both
@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0), (3, 4)])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_any_shape(make, shape, dtype):
    encoding = make()
    codes = encoding(torch.full(shape, 42, dtype=dtype))
    assert codes.shape == (*shape, encoding.width)
    assert torch.equal(codes, encoding(KNOWN[0]).expand_as(codes))


@both
def test_unknown_ids_are_zero_between_known_ones(make):
    encoding = make()
    ids = torch.stack([KNOWN, UNKNOWN], dim=1)
    codes = encoding(ids)
    assert not codes[:, 1].any()
    torch.testing.assert_close(codes[:, 0], encoding(KNOWN))


def test_a_flag_tells_zero_features_from_none():
    encoding = side_features()
    assert encoding(torch.tensor([5, 6])).tolist() == [[0, 0, 0, 1], [0, 0, 0, 0]]


def test_features_are_a_copy():
    values = VALUES.clone()
    encoding = SideFeatures(KNOWN, values)
    values.zero_()
    assert torch.equal(encoding(KNOWN)[:, :3], VALUES)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.float64, torch.bfloat16])
def test_features_are_held_in_float32_and_move_with_the_module(dtype):
    encoding = SideFeatures(KNOWN, VALUES.abs().to(dtype))
    assert encoding(KNOWN).dtype == torch.float32
    moved = encoding.to(torch.bfloat16)
    assert moved(KNOWN).dtype == torch.bfloat16
    assert moved.ids.dtype == torch.int64


def test_nothing_trains_features():
    values = VALUES.clone().requires_grad_()
    codes = [SketchEncoding(50, 4, seed="id"), SideFeatures(KNOWN, values)]
    embedding = DecodedEmbedding(6, codes)
    before = codes[1].codes.clone()
    optimizer = torch.optim.SGD(embedding.parameters(), lr=1.0)
    embedding(KNOWN).sum().backward()
    optimizer.step()
    assert values.grad is None
    assert not list(codes[1].parameters())
    assert torch.equal(codes[1].codes, before)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_a_bag_is_the_sum_of_its_tags_over_a_power_of_their_number(alpha):
    encoding = bag_features(alpha)
    expected = [
        encoding.tags(TAGS[start:end]).sum(0) / max(1, end - start) ** alpha
        for start, end in OFFSETS.unfold(0, 2, 1).tolist()
    ]
    torch.testing.assert_close(encoding(KNOWN), torch.stack(expected))


@settings(deadline=None)  # the first hash compiles
@given(distinct_ids, st.data())
def test_bags_follow_their_ids(ids, data):
    bags = data.draw(
        st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=len(ids), max_size=len(ids))
    )
    bags[0].append(7)
    offsets = torch.tensor([0, *map(len, bags)]).cumsum(0)
    tags = DenseHashEncoding(4, seed="tag")
    all_tags = torch.tensor([tag for bag in bags for tag in bag])
    encoding = BagFeatures(tags, torch.tensor(ids), all_tags, offsets, alpha=0)
    expected = [tags(torch.tensor(bag, dtype=torch.int64)).sum(0) for bag in bags]
    torch.testing.assert_close(encoding(torch.tensor(ids)), torch.stack(expected))


def test_the_codes_of_tags_are_learned_rows():
    encoding = bag_features()
    assert [id(row) for row in rows_of(encoding)] == [id(encoding.tags.rows.weight)]
    encoding(KNOWN[:1]).sum().backward()
    assert encoding.tags.rows.weight.grad.abs().sum(1).count_nonzero() == 4  # two tags, two hashes


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_scale_of_a_code_is_known(alpha):
    codes = side_features()(KNOWN)
    assert side_features().std == pytest.approx(codes.square().mean().sqrt().item())
    offsets = torch.arange(0, 4001, 4)
    tags = DenseHashEncoding(64, seed="tag")
    bags = BagFeatures(tags, torch.arange(1000), torch.arange(4000), offsets, alpha=alpha)
    assert bags(torch.arange(1000)).std().item() == pytest.approx(bags.std, rel=0.05)


@both
def test_a_configuration_and_a_state_dict_build_the_same_function(make):
    original = DecodedEmbedding(6, [DenseHashEncoding(4, seed="id"), make()]).eval()
    config = json.loads(json.dumps(original.config()))
    with torch.device("meta"):  # as a checkpoint is loaded
        copy = from_config(config)
    copy.load_state_dict(original.state_dict(), assign=True)
    ids = torch.cat([KNOWN, UNKNOWN])
    assert torch.equal(copy.eval()(ids), original(ids))
    assert copy.config() == original.config()
    assert str(copy) == str(original)
    assert copy.encodings[1].std == original.encodings[1].std


def test_other_numbers_of_ids_are_refused():
    with pytest.raises(RuntimeError, match="size mismatch"):
        SideFeatures(KNOWN[:3], VALUES[:3]).load_state_dict(side_features().state_dict())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int8])
def test_frozen(dtype):
    torch.manual_seed(0)
    trained, ids = embedding().eval(), torch.cat([KNOWN, UNKNOWN])
    frozen = trained.freeze(dtype)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    cosine = torch.cosine_similarity(frozen(ids), trained(ids), dim=-1)
    assert cosine.min() > (0.99999 if dtype == torch.float32 else 0.98)
    for tags in trained.encodings[2].tags.parameters():
        tags.data.zero_()
    assert frozen.encodings[2](KNOWN).any()  # its tags are a copy


def test_recomputing_changes_nothing():
    gradients = []
    for recompute in (False, True):
        torch.manual_seed(0)
        one = embedding(recompute=recompute)
        one(torch.cat([KNOWN, UNKNOWN])).square().sum().backward()
        gradients.append([parameter.grad for parameter in one.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_compiled_as_one_graph():
    encoding = side_features()
    compiled = torch.compile(encoding, fullgraph=True, backend="eager")
    ids = torch.cat([KNOWN, UNKNOWN])
    assert torch.equal(compiled(ids), encoding(ids))


def test_features_with_a_table_are_of_its_rows():
    codes = [FullTable(4, 2), SideFeatures(torch.arange(4), VALUES)]
    assert DecodedEmbedding(6, codes)(torch.arange(5)).shape == (5, 6)


@given(
    st.lists(
        st.floats(-1e6, 1e6, width=32) | st.just(math.nan),
        min_size=1,
        max_size=30,
    )
)
def test_standardised_numbers_have_mean_0_and_deviation_1_or_0(numbers):
    values = torch.tensor(numbers, dtype=torch.float64)[:, None]
    result = standardise(values)
    given = result[~values.isnan()]
    assert not result[values.isnan()].any()
    if len(given):
        assert given.mean().item() == pytest.approx(0, abs=1e-3)
        std = given.std(correction=0).item()
        assert std == pytest.approx(1, rel=1e-3) or not given.any()
        assert bool(given.any()) == (len(values[~values.isnan()].unique()) > 1)


def test_new_numbers_are_standardised_like_the_old():
    old = torch.tensor([[10.0, 0.1], [30.0, 0.1], [math.nan, 0.1]])
    new = torch.tensor([[40.0, 7.0], [math.nan, 0.1]])
    assert standardise(new, like=old).tolist() == [[2, 0], [0, 0]]
    assert standardise(old).tolist() == [[-1, 0], [1, 0], [0, 0]]


def test_several_categories_of_a_row():
    names, values = multi_hot(["Comedy|Action|Comedy", None, "", "Drama"], separator="|")
    assert names == ("Action", "Comedy", "Drama")
    assert values.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert multi_hot(["a|b", "a"])[0] == ("a", "a|b")


def test_new_rows_take_the_categories_of_the_old():
    names, values = multi_hot(["Drama|Western", "Western"], separator="|", categories=("Drama",))
    assert names == ("Drama",)
    assert values.tolist() == [[1], [0]]
    assert not multi_hot(["Western"], categories=("Drama",))[1].any()


@pytest.mark.parametrize(
    ("ids", "values", "named"),
    [
        (torch.tensor([7, 3, 7]), torch.ones(3, 1), "distinct, got 7 more than once"),
        (torch.tensor([7.0]), torch.ones(1, 1), "float32"),
        (torch.tensor([], dtype=torch.int64), torch.ones(0, 1), "at least one id"),
        (torch.tensor([[7]]), torch.ones(1, 1), r"shape \(1, 1\)"),
        (torch.tensor([7, 3]), torch.ones(3, 1), r"each of the 2 ids, got shape \(3, 1\)"),
        (torch.tensor([7, 3]), torch.ones(2), r"got shape \(2,\)"),
        (torch.tensor([7, 3]), torch.ones(2, 0), r"got shape \(2, 0\)"),
        (torch.tensor([7]), torch.tensor([[1.0, math.nan]]), "got nan in row 0, column 1"),
        (torch.tensor([7]), torch.tensor([[1e300]], dtype=torch.float64), "got inf in row 0"),
    ],
)
def test_bad_features_are_named(ids, values, named):
    with pytest.raises(InputError, match=named):
        SideFeatures(ids, values)


@pytest.mark.parametrize(
    ("bags", "offsets", "named"),
    [
        (TAGS, [0, 2, 5], r"must be 5 numbers .* got shape \(3,\)"),
        (TAGS, [0, 2, 2, 3, 4], "rise from 0 to 5, .* got 0 to 4"),
        (TAGS, [1, 2, 2, 3, 5], "got 1 to 5"),
        (TAGS, [0, 2, 1, 3, 5], "in steps of at least -1"),
        (TAGS[:0], [0, 0, 0, 0, 0], "got none"),
        (TAGS.float(), [0, 2, 2, 3, 5], "float32"),
    ],
)
def test_bad_bags_are_named(bags, offsets, named):
    with pytest.raises(InputError, match=named):
        BagFeatures(SketchEncoding(5, 2, seed=0), KNOWN, bags, torch.tensor(offsets))


@both
def test_ids_that_are_no_integers_are_refused(make):
    with pytest.raises(InputError, match="float"):
        make()(torch.rand(3))


@pytest.mark.parametrize(
    ("values", "like", "named"),
    [
        (torch.ones(3), None, r"shape \(3,\)"),
        (torch.ones(3, 1, dtype=torch.int64), None, "int64"),
        (torch.tensor([[math.inf]]), None, "infinite"),
        (torch.ones(3, 1), torch.ones(3, 2), "1 and 2 columns"),
    ],
)
def test_bad_numbers_are_named(values, like, named):
    with pytest.raises(InputError, match=named):
        standardise(values, like)


def test_bad_categories_are_named():
    with pytest.raises(InputError, match=r"got 3\.5 in row 1"):
        multi_hot(["a", 3.5])
    with pytest.raises(InputError, match="got 0: leave it out"):
        multi_hot([None, ""])
    with pytest.raises(InputError, match=r"got 1001.*BagFeatures"):
        multi_hot([str(number) for number in range(1001)])
