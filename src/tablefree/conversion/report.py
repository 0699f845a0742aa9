"""What a conversion did: which tables were replaced, with their bytes, and which were not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group

_NOTHING = "no table was replaced"


@dataclass(frozen=True)
class ReplacedTable:
    """A table that was replaced.

    Attributes:
        name: of the module in the model, which is also the seed of its hash functions.
        num_embeddings: rows of the table.
        embedding_dim: width of a row.
        bytes_before: of the table.
        bytes_after: of the embedding, parameters and buffers.
        variance_kept: share of the rows' variance that a distillation kept; None without one.
    """

    name: str
    num_embeddings: int
    embedding_dim: int
    bytes_before: int
    bytes_after: int
    variance_kept: float | None = None


@dataclass(frozen=True)
class Conversion:
    """What `convert` did. Its text is a table for people; rich prints it as one of its own.

    Attributes:
        method: of the new embeddings.
        replaced: the tables that were replaced.
        refused: for each table that the rule chose and that stays as it was, by name, the reason.
    """

    method: str
    replaced: tuple[ReplacedTable, ...]
    refused: Mapping[str, str]

    @property
    def bytes_before(self) -> int:
        """Of the tables that were replaced."""
        return sum(table.bytes_before for table in self.replaced)

    @property
    def bytes_after(self) -> int:
        """Of the embeddings in their place."""
        return sum(table.bytes_after for table in self.replaced)

    def __str__(self) -> str:
        lines = [_NOTHING]
        if self.replaced:
            cells = self._cells()
            first, *others = [max(map(len, column)) for column in zip(*cells, strict=True)]
            aligned = ([row[0].ljust(first), *map(str.rjust, row[1:], others)] for row in cells)
            lines = ["  ".join(row).rstrip() for row in aligned]
        return "\n".join([*lines, *self._reasons()])

    def __rich__(self) -> "Group":
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table

        header, *rows = self._cells()
        table = Table(header[0], box=None)
        for title in header[1:]:
            table.add_column(title, justify="right")
        for row in rows:
            table.add_row(*row)
        return Group(table if self.replaced else _NOTHING, *map(escape, self._reasons()))

    def _reasons(self) -> list[str]:
        return [f"not replaced: {_shown(name)}: {why}" for name, why in self.refused.items()]

    def _cells(self) -> list[list[str]]:
        """A header, a row for each table that was replaced, and their sum."""
        is_distilled = any(table.variance_kept is not None for table in self.replaced)
        header = [f"replaced by {self.method}", "rows", "width", "bytes before", "bytes after"]
        rows = [
            [
                _shown(table.name),
                f"{table.num_embeddings:,}",
                f"{table.embedding_dim:,}",
                f"{table.bytes_before:,}",
                f"{table.bytes_after:,}",
                *([f"{table.variance_kept:.3f}"] if table.variance_kept is not None else []),
            ]
            for table in self.replaced
        ]
        total = ["all", "", "", f"{self.bytes_before:,}", f"{self.bytes_after:,}"]
        if is_distilled:
            header.append("variance kept")
            total.append("")
        return [header, *rows, total]


def _shown(name: str) -> str:
    return name or "(the model)"
