"""Which form suits a number of bytes, or a loss that is allowed."""

from collections.abc import Callable

from tablefree.errors import InputError
from tablefree.packing.forms import Form

PLAIN = (Form("float16"), Form("int8"), Form("int4"))
CODED_BITS = (8, 6, 4)
MOST_LEVEL_BITS = 6
MOST_RESIDUAL_CODES = 16  # more take long to find, and product codes are as good
# Bytes of a row, from which the fewest are found that lose no more than is allowed.
LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 34, 64)


def candidates(fits: Callable[[Form], bool], width: int) -> list[Form]:
    """Of each kind and number of bits the largest form that fits.

    Args:
        fits: whether a form is small enough.
        width: numbers of the narrowest row.
    """
    found = [form for form in PLAIN if fits(form)]
    levels = [Form("levels", bits) for bits in range(2, MOST_LEVEL_BITS + 1)]
    found += [form for form in levels if fits(form)][-1:]
    for kind, most in (("product", width), ("residual", MOST_RESIDUAL_CODES)):
        for bits in CODED_BITS:
            forms = (Form(kind, bits, num_codes) for num_codes in range(1, most + 1))
            found += [form for form in forms if fits(form)][-1:]
    return [form for form in found if not _is_wasteful(form, found, width)]


def _is_wasteful(form: Form, others: list[Form], width: int) -> bool:
    """Whether another form of the same kind says twice as much of a row within the bytes."""
    same = [one.row_bytes(width) for one in others if one.kind == form.kind]
    return 2 * form.row_bytes(width) <= max(same)


def smallest(loss_of: Callable[[int], float], max_loss: float) -> int:
    """The first step of the ladder that loses at most so much, by bisection.

    Args:
        loss_of: of the best form with so many bytes a row.
        max_loss: of AUC.

    Raises:
        InputError: none does.
    """
    low, high = 0, len(LADDER) - 1
    if loss_of(LADDER[high]) > max_loss:
        raise InputError(
            f"rows in float16 lose more than {max_loss:g} of AUC already: allow more, or keep them "
            "in float32"
        )
    while low < high:
        middle = (low + high) // 2
        if loss_of(LADDER[middle]) <= max_loss:
            high = middle
        else:
            low = middle + 1
    return LADDER[high]
