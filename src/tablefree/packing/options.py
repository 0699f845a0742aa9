"""What can become of the tables of a module, and what each of it costs the scores."""

from collections.abc import Mapping

from torch import Tensor, nn

from tablefree.encodings.sketch import SketchEncoding
from tablefree.packing.books import Books
from tablefree.packing.encoding import Statistics
from tablefree.packing.examples import squares
from tablefree.packing.filled import filled, float_rows, used_rows
from tablefree.packing.forms import Form
from tablefree.packing.mixture import LADDER, Choice, Option
from tablefree.packing.pruning import FEWEST, STEPS, Owners, by_worth, pruned, tail_costs
from tablefree.packing.tables import Table, rows_bytes, rows_in

NEARLY_EXACT = Form("int8")
MANY_ROWS, NEAR = 2**13, (0.5, 4.0)  # rows that take long to code, in forms of such sizes alone


class Options:
    """What can become of tables; the options of each are made once.

    Args:
        statistics: of rows, as far as examples tell.
        owners: of sketches, likewise.
    """

    def __init__(
        self, statistics: Mapping[nn.Module, Statistics], owners: Mapping[nn.Module, Owners]
    ) -> None:
        self._statistics = statistics
        self._owners = {
            table: self._ordered(table, some)
            for table, some in owners.items()
            if isinstance(table, SketchEncoding)
            and self.known(table).counts is not None
            and len(some.ids) >= FEWEST
        }
        self._made: dict[tuple[Table, Form], list[Option]] = {}

    def known(self, table: Table) -> Statistics:
        """What is known of the use of a table's rows."""
        return self._statistics.get(rows_in(table), Statistics())

    def near(self, table: Table, form: Form) -> list[Option]:
        """The options of a table, in a form and others; of many rows in such as are near it."""
        return [option for one in _ladder(table, form) for option in self._in_form(table, one)]

    def made(self, table: Table, choice: Choice) -> Books:
        """A table as it was chosen."""
        if choice.kept is None:
            return filled(table, choice.form, self.known(table))
        assert isinstance(table, SketchEncoding)
        owners, metric = self._owners[table], self.known(table).metric
        small, known = pruned(table, owners, choice.kept, metric)
        return filled(small, choice.form, known)

    def _in_form(self, table: Table, form: Form) -> list[Option]:
        """A table in a form, with the rows of all its ids or of some.

        Costs are square errors of the score, summed over the look-ups, to first order.
        """
        if (table, form) not in self._made:
            known, used = self.known(table), used_rows(table)
            assert known.counts is not None
            assert known.metric is not None
            metric = known.metric / known.counts.sum()
            packed = filled(table, form, known)
            errors = packed.all_rows()[used] - float_rows(table)[used]
            cost = float(((known.counts[used] + 0.5) * squares(errors, metric)).sum())
            options = [Option(rows_bytes(table, form), cost, Choice(form))]
            if isinstance(table, SketchEncoding) and table in self._owners:
                options += _with_fewer_rows(table, form, packed, self._owners[table], metric)
            self._made[table, form] = options
        return self._made[table, form]

    def _ordered(self, table: SketchEncoding, owners: Owners) -> Owners:
        """The owners, the worthiest first, looked up as often in all as the statistics have it."""
        known = self.known(table)
        assert known.counts is not None
        assert known.metric is not None
        scale = known.counts.sum() / owners.counts.sum()
        return by_worth(owners._replace(counts=owners.counts * scale), known.metric)


def _with_fewer_rows(
    table: SketchEncoding, form: Form, packed: Books, owners: Owners, metric: Tensor
) -> list[Option]:
    """A sketch in a form with rows for the first of its owners, the others having their mean."""
    assert table.claims is not None
    places = table.claims(owners.ids) + table.first_own
    errors = packed.all_rows()[places] - owners.rows
    costs = (owners.counts * squares(errors, metric)).cumsum(0)
    kept = sorted({max(1, round(share * len(owners.ids))) for share in STEPS})
    tails = tail_costs(owners, metric, kept)
    return [
        Option(rows_bytes(table, form, first), float(costs[first - 1]) + tail, Choice(form, first))
        for first, tail in zip(kept, tails, strict=True)
    ]


def _ladder(table: Table, form: Form) -> list[Form]:
    """The forms that a table may have in the place of one; of many rows those of some such size."""
    rows = rows_in(table)
    width, most = rows.embedding_dim, rows_bytes(table, NEARLY_EXACT)
    low, high = (times * form.row_bytes(width) for times in NEAR)
    return [
        one
        for one in (form, *LADDER)
        if (one.kind != "product" or one.num_codes <= width)
        and (rows_bytes(table, one) < most or one == NEARLY_EXACT)
        and (rows.num_embeddings <= MANY_ROWS or low <= one.row_bytes(width) <= high)
    ]
