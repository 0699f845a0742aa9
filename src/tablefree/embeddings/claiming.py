"""What embeddings have in common in which ids claim rows: how full they are, and a way to grow."""

from tablefree.encodings import SketchEncoding


class Claiming:
    """An embedding over a sketch, in which ids may own rows.

    Attributes:
        encoding: the sketch.
    """

    encoding: SketchEncoding

    def grow(self, capacity: int) -> None:
        """Have more rows for ids of their own (see `SketchEncoding.grow`).

        The weight is another parameter afterwards: make the optimizers anew.

        Raises:
            InputError: not more than there are, or a sketch that began without.
        """
        self.encoding.grow(capacity)

    @property
    def capacity(self) -> int:
        """Ids that can have a row of their own."""
        return self.encoding.capacity

    @property
    def num_claimed(self) -> int:
        """Ids that have one."""
        return self.encoding.num_claimed

    @property
    def load(self) -> float:
        """The share of the own rows that are taken, 0 to 1."""
        return self.encoding.load
