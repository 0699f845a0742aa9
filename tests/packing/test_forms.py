import pytest

from tablefree import Form, InputError
from tablefree.packing.choice import candidates, smallest


@pytest.mark.parametrize(
    ("name", "width", "row_bytes"),
    [
        ("float16", 5, 10),
        ("int8", 5, 7),
        ("int4", 5, 5),
        ("levels-3", 5, 2),
        ("product-5x6", 32, 4),
        ("residual-4x8", 32, 4),
    ],
)
def test_a_name_leads_back_to_its_form(name, width, row_bytes):
    form = Form.parse(name)
    assert str(form) == name
    assert form.row_bytes(width) == row_bytes


@pytest.mark.parametrize(
    "name",
    [
        "_",
        "float32",
        "int8-4",
        "levels",
        "levels-1",
        "levels-9",
        "product-8",
        "residual-0x8",
        "residual-65x8",
        "residual-4x9",
        "residual-4x",
        "residual--4x8",
        "levels-2x3",
        "x-1x1",
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(InputError, match="is no form: use one such as int8"):
        Form.parse(name)


def test_candidates_are_the_largest_that_fit():
    found = candidates(lambda form: form.row_bytes(32) <= 4, 32)
    assert Form("residual", 8, 4) in found
    assert Form("product", 6, 5) in found
    assert all(form.row_bytes(32) <= 4 for form in found)
    assert not candidates(lambda _: False, 32)


@pytest.mark.parametrize("needed", [16, 17, 100, 333, 1000])
def test_the_smallest_budget_that_loses_little_is_found(needed):
    found = smallest(lambda budget: 0.0 if budget >= needed else 0.01, 1000, 0.001)
    assert needed <= found <= max(needed, 1.42 * needed)


def test_a_loss_that_nothing_holds_is_refused():
    with pytest.raises(InputError, match="lose more than"):
        smallest(lambda _: 0.01, 1000, 0.001)


@pytest.mark.parametrize("name", ["residual-04x8", "residual-\uff14x8", " int4", "levels-4 "])
def test_a_form_has_one_name(name):
    with pytest.raises(InputError, match="is no form"):
        Form.parse(name)


@pytest.mark.parametrize("sizes", [(8.0, 4), ("8", 4), (8, None), (8, 2.5)])
def test_bits_and_codes_are_integers(sizes):
    with pytest.raises(InputError, match="bits and codes are integers"):
        Form("residual", *sizes)


@pytest.mark.parametrize("width", [-1, 0, 2.5, float("nan"), "x"])
def test_a_width_is_a_positive_integer(width):
    with pytest.raises(InputError, match="width must be an integer of at least 1"):
        Form("int4").row_bytes(width)
