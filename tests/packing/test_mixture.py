"""A form for each table: what bytes are given to whom, and what comes of it."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tablefree import GMF, FullTable, pack, packed_bytes, unpack
from tablefree.packing.forms import Form
from tablefree.packing.mixture import LADDER, Mixture, Option, best_within
from tablefree.packing.packer import Packer
from tablefree.packing.tables import packed_size

FORMS = LADDER[:4]
options = st.lists(
    st.tuples(st.integers(1, 40), st.floats(0, 10)), min_size=1, max_size=len(FORMS)
).map(lambda some: [Option(*one, form) for one, form in zip(some, FORMS, strict=False)])


def found(tables, chosen):
    """The options of the forms."""
    return [
        next(one for one in some if one.form == form)
        for some, form in zip(tables, chosen, strict=True)
    ]


@given(st.lists(options, min_size=1, max_size=4), st.integers(1, 160))
def test_the_bytes_are_held_and_well_spent(tables, num_bytes):
    chosen = best_within(dict(enumerate(tables)), num_bytes)
    if not chosen:
        assert sum(min(one.num_bytes for one in some) for some in tables) > num_bytes
        return
    got = found(tables, chosen.values())
    assert sum(one.num_bytes for one in got) <= num_bytes
    # No other choice is better that leaves room for the largest step.
    room = max(one.num_bytes for some in tables for one in some)
    others = [
        sum(one.cost for one in some)
        for some in product(*tables)
        if sum(one.num_bytes for one in some) <= num_bytes - room
    ]
    assert sum(one.cost for one in got) <= min(others, default=1e9) + 1e-6


def test_with_bytes_enough_each_has_what_costs_least():
    tables = {
        "small": [Option(1, 3.0, FORMS[0]), Option(5, 1.0, FORMS[1])],
        "large": [Option(100, 9.0, FORMS[0]), Option(300, 8.5, FORMS[1])],
    }
    assert best_within(tables, 305) == {"small": FORMS[1], "large": FORMS[1]}
    assert best_within(tables, 304) == {"small": FORMS[1], "large": FORMS[0]}
    assert best_within(tables, 101) == {"small": FORMS[0], "large": FORMS[0]}
    assert best_within(tables, 100) == {}


@pytest.fixture(scope="module")
def recommender():
    """Items that are looked up often, and many users; pairs that the model was made of."""
    torch.manual_seed(0)
    model = GMF(FullTable(3_000, 16), FullTable(300, 16)).eval()
    with torch.no_grad():
        for table in (model.users, model.items):
            table.rows.weight.normal_()
    generator = torch.Generator().manual_seed(1)
    parts = []
    for _ in range(2):
        users = torch.randint(3_000, (20_000,), generator=generator)
        items = torch.randint(300, (20_000,), generator=generator)
        with torch.no_grad():
            chances = torch.sigmoid(model(users, items))
        parts.append((users, items, torch.bernoulli(chances, generator=generator)))
    return model, *parts


def test_rows_that_are_looked_up_often_have_more_bits(recommender):
    model, examples, validation = recommender
    packer = Packer(model, examples, validation)
    best = packer.within(packed_bytes(model) / 20)[0]
    assert str(best.form) == "mixed"
    users, items = (
        table.rows.form.row_bytes(16) for table in (best.module.users, best.module.items)
    )
    assert items > 2 * users
    plain = [one for one in packer._trials.values() if isinstance(one.form, Form)]
    assert best.quality > max(one.quality for one in plain)


def test_it_takes_what_is_told_and_is_saved(recommender, tmp_path):
    model, examples, validation = recommender
    most = packed_bytes(model) / 20
    packer = Packer(model, examples, validation)
    (mixture,) = [one.form for one in packer.within(most) if isinstance(one.form, Mixture)]
    packed = packer.trial(mixture).module
    assert packed_bytes(packed) == packed_size(model, mixture) <= most
    packed.save_pretrained(tmp_path)
    users, items, _ = validation
    loaded = GMF.from_pretrained(tmp_path)
    assert torch.equal(loaded(users, items), packed(users, items))
    assert torch.equal(unpack(loaded)(users, items), packed(users, items))


def test_without_examples_there_is_one_form(recommender):
    model, _, _ = recommender
    packed = pack(model, ratio=1 / 20)
    assert packed.users.rows.form == packed.items.rows.form
