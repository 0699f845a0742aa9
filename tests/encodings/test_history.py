import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.embeddings import FullTable, HashingTrick, NarrowTable
from tablefree.encodings.history import HistoryEncoding
from tablefree.errors import InputError

NUM_ITEMS, WIDTH = 30, 4
bags_of_items = st.lists(st.lists(st.integers(0, NUM_ITEMS - 1), max_size=6), max_size=6)


def jagged(bags):
    """Items bag after bag, and offsets."""
    items = torch.tensor([item for bag in bags for item in bag], dtype=torch.int64)
    sizes = torch.tensor([0, *map(len, bags)])
    return items, sizes.cumsum(0)


def expected(embedding, bag, alpha):
    """By definition."""
    if not bag:
        return torch.zeros(WIDTH)
    return embedding(torch.tensor(bag)).sum(0) / len(bag) ** alpha


class Counting(FullTable):
    """Remembers how many ids it was asked for."""

    asked = 0

    def forward(self, ids):
        self.asked += ids.numel()
        return super().forward(ids)


@settings(max_examples=50, deadline=None)
@given(bags=bags_of_items, alpha=st.sampled_from([0.0, 0.5, 1.0]))
def test_a_code_is_the_sum_over_a_power_of_the_number(bags, alpha):
    table = FullTable(NUM_ITEMS, WIDTH)
    codes = HistoryEncoding(table, alpha=alpha)(*jagged(bags))
    assert codes.shape == (len(bags), WIDTH)
    for code, bag in zip(codes, bags, strict=True):
        torch.testing.assert_close(code, expected(table, bag, alpha))


@settings(max_examples=50, deadline=None)
@given(data=st.data(), bags=bags_of_items.filter(len))
def test_leaving_out_an_item_is_as_if_it_had_never_been_there(data, bags):
    table = FullTable(NUM_ITEMS, WIDTH)
    items, offsets = jagged(bags)
    chosen = data.draw(st.lists(st.integers(0, len(bags) - 1), max_size=8))
    inside = [data.draw(st.integers(-1, len(bags[bag]) - 1)) for bag in chosen]
    places = [
        int(offsets[bag]) + place if place >= 0 else -1
        for bag, place in zip(chosen, inside, strict=True)
    ]
    codes = HistoryEncoding(table)(
        items,
        offsets,
        torch.tensor(chosen, dtype=torch.int64),
        left_out=torch.tensor(places, dtype=torch.int64),
    )
    assert codes.shape == (len(chosen), WIDTH)
    for code, bag, place in zip(codes, chosen, inside, strict=True):
        rest = [item for position, item in enumerate(bags[bag]) if position != place]
        torch.testing.assert_close(code, expected(table, rest, 0.5), atol=1e-6, rtol=1e-5)


def test_no_gradient_reaches_the_item_that_is_left_out():
    table = FullTable(NUM_ITEMS, WIDTH).double()
    items, offsets = jagged([[3, 7, 9], [5], [7, 2]])
    pairs = torch.tensor([0, 1])  # without 7; without 5, which leaves nothing
    codes = HistoryEncoding(table)(items, offsets, pairs, left_out=torch.tensor([1, 3]))
    (codes * torch.randn(2, WIDTH)).sum().backward()
    (touched,) = torch.nonzero(table.rows.weight.grad.abs().sum(1) > 1e-12, as_tuple=True)
    assert touched.tolist() == [3, 9]
    assert torch.equal(codes[1], torch.zeros(WIDTH, dtype=torch.float64))


def test_each_distinct_item_of_the_bags_asked_for_is_embedded_once():
    table = Counting(NUM_ITEMS, WIDTH)
    items, offsets = jagged([[1, 2, 3], [2, 3, 4], [5, 6, 7, 8, 9]])
    HistoryEncoding(table)(items, offsets, torch.tensor([0, 1, 0, 0]), left_out=None)
    assert table.asked == 4


def test_items_may_be_any_64_bit_ids():
    table = HashingTrick(50, WIDTH, seed="item_id")
    ids = torch.tensor([-(2**63), -1, 2**63 - 1])
    code = HistoryEncoding(table)(ids, torch.tensor([0, 3]))
    torch.testing.assert_close(code[0], table(ids).sum(0) / 3**0.5)


def test_the_items_stay_with_the_item_side():
    table = FullTable(NUM_ITEMS, WIDTH)
    encoding = HistoryEncoding(table)
    assert encoding.items is table
    assert not list(encoding.parameters())
    assert not encoding.state_dict()
    both = torch.nn.ModuleList([table, encoding])
    copied_table, copied_encoding = copy.deepcopy(both)
    assert copied_encoding.items is copied_table is not table
    assert str(encoding) == "HistoryEncoding(width=4, alpha=0.5)"


def test_long_bags_of_bfloat16_codes_are_added_exactly():
    table = FullTable(NUM_ITEMS, WIDTH).bfloat16()
    items = torch.arange(NUM_ITEMS).repeat(100)
    code = HistoryEncoding(table)(
        items, torch.tensor([0, 3000]), torch.tensor([0]), left_out=torch.tensor([7])
    )
    rest = torch.cat([items[:7], items[8:]])
    assert code.dtype == torch.bfloat16
    exact = table(rest).double().sum(0) / 2999**0.5
    torch.testing.assert_close(code[0].double(), exact, rtol=2**-8, atol=1e-5)


def test_decoded_items_work_under_autocast():
    encoding = HistoryEncoding(NarrowTable(NUM_ITEMS, WIDTH, rank=2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert encoding(*jagged([[1, 2], []])).isfinite().all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.tensor([1.0, 2]), torch.tensor([0, 2])), "ids must be an integer tensor"),
        ((torch.arange(3), torch.tensor([0])), "end with the number of items, 3; got 0 and 0"),
        ((torch.arange(3), torch.tensor([], dtype=torch.int64)), "items, 3; got none"),
        ((torch.arange(3), torch.tensor([1, 3])), "must begin with 0 .* got 1 and 3"),
        ((torch.arange(3), torch.tensor([0, 2, 1, 3])), "must rise .* got a bag from 2 to 1"),
        ((torch.arange(3), torch.tensor([0, 4, 3])), "must rise .* got a bag from 0 to 4"),
        ((torch.arange(3), torch.tensor([0, 3]), torch.tensor([1])), "bags must be 0..0.* got 1"),
        ((torch.arange(3), torch.tensor([0, 3]), torch.tensor([-1])), "bags must be 0..0.* got -1"),
    ],
)
def test_bags_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        HistoryEncoding(FullTable(NUM_ITEMS, WIDTH))(*arguments)


@pytest.mark.parametrize("place", [0, 3, -2])
def test_a_place_outside_its_bag_is_refused(place):
    items, offsets = jagged([[1], [2, 3], [4]])
    with pytest.raises(InputError, match=rf"is from 1 to 3 \(exclusive\); got {place}"):
        HistoryEncoding(FullTable(NUM_ITEMS, WIDTH))(
            items, offsets, torch.tensor([1]), left_out=torch.tensor([place])
        )


@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan")])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(InputError, match="alpha must be between 0"):
        HistoryEncoding(FullTable(NUM_ITEMS, WIDTH), alpha=alpha)


def test_the_items_follow_mode_device_and_requires_grad():
    table = FullTable(NUM_ITEMS, WIDTH)
    encoding = HistoryEncoding(table)
    both = torch.nn.Sequential(torch.nn.ModuleDict({"users": encoding}))
    both.eval()
    assert not table.training
    both.train()
    assert table.training
    both.to(torch.float64)
    assert table.rows.weight.dtype == torch.float64
    encoding.requires_grad_(False)
    assert not table.rows.weight.requires_grad
    assert not encoding.state_dict()
    assert not list(encoding.parameters())
