"""Which form suits a number of bytes, or a loss that is allowed."""

from collections.abc import Callable

from tablefree.errors import InputError
from tablefree.packing.forms import Form

# One of them is the smallest of the forms that are tried, whatever the table.
SMALLEST = (Form("levels", 2), Form("product", 4, 1), Form("residual", 4, 1))
PLAIN = (Form("float16"), Form("int8"), Form("int4"))
CODED_BITS = (8, 6, 4)
MOST_LEVEL_BITS = 6
FEW_CODES, BITS_OF_FEW_CODES = 3, (7, 5)  # codebooks weigh much then
MOST_RESIDUAL_CODES = 16  # more take long to find, and product codes are as good
HALVINGS = 6  # from float16 down to where nothing is left
STEPS = 2  # budgets a halving


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
    for bits in BITS_OF_FEW_CODES:
        forms = (Form("residual", bits, num_codes) for num_codes in range(1, FEW_CODES + 2))
        fitting = [form for form in forms if fits(form)]
        found += fitting[-1:] if len(fitting) <= FEW_CODES else []
    return [form for form in found if not _is_wasteful(form, found, width)]


def _is_wasteful(form: Form, others: list[Form], width: int) -> bool:
    """Whether another form of the same kind says twice as much of a row within the bytes."""
    same = [one.row_bytes(width) for one in others if one.kind == form.kind]
    return 2 * form.row_bytes(width) <= max(same)


def smallest(loss_of: Callable[[int], float], most: int, max_loss: float) -> int:
    """The smallest budget that loses at most so much, by bisection of a geometric ladder.

    Args:
        loss_of: of AUC, of the best form in so many bytes; infinite where no form fits.
        most: bytes, the largest budget.
        max_loss: of AUC.

    Raises:
        InputError: none does.
    """
    ladder = [round(most * 2 ** (-step / STEPS)) for step in range(HALVINGS * STEPS, -1, -1)]
    low, high = 0, len(ladder) - 1
    if loss_of(most) > max_loss:
        raise InputError(
            f"rows in float16 lose more than {max_loss:g} of AUC already: allow more, or keep them "
            "in float32"
        )
    while low < high:
        middle = (low + high) // 2
        if loss_of(ladder[middle]) <= max_loss:
            high = middle
        else:
            low = middle + 1
    return ladder[high]
