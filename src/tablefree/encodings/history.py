"""A code of a bag of items: their embeddings, added, and divided by a power of their number.

A user as what it did: no parameters of its own, and a new one needs no training (Koren,
"Factorization Meets the Neighborhood", 2008, who divides by the square root). An item that is asked
about must not be in the bag: it is taken out of the sum, exactly as if it had never been there.
"""

from collections.abc import Callable
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.encodings.base import Encoding
from tablefree.errors import InputError
from tablefree.ids import tensor_ids


class HistoryEncoding(nn.Module):
    """The sum of a bag's item embeddings over n^alpha, n being their number; zeros if it is empty.

    Each distinct item is embedded once and each bag is added up once, however many pairs of a batch
    leave one of its items out.

    Args:
        items: an embedding or encoding of the items, with a `width`. It belongs to the item side:
            it is no submodule, and neither its parameters nor its state are among this module's.
            Its mode, device, dtype and `requires_grad_` follow this module's.
        alpha: 0 for the sum, 1 for the mean.

    Raises:
        InputError: an alpha below 0 or above 1.

    Example:
        >>> encoding = HistoryEncoding(FullTable(100, 8))
        >>> items, offsets = torch.tensor([3, 14, 15, 9]), torch.tensor([0, 3, 3, 4])
        >>> encoding(items, offsets).shape  # the middle bag is empty
        torch.Size([3, 8])
        >>> first = torch.tensor([0, 0])
        >>> encoding(items, offsets, first, left_out=torch.tensor([1, -1])).shape  # less 14; whole
        torch.Size([2, 8])
    """

    def __init__(self, items: Encoding, *, alpha: float = 0.5) -> None:
        super().__init__()
        if not 0 <= alpha <= 1:
            raise InputError(f"alpha must be between 0 (sum) and 1 (mean), got {alpha}")
        # A tuple, so that it is not registered: parameters and state are the item side's.
        self._items = (items,)
        self.alpha = alpha
        self.width = items.width

    @property
    def items(self) -> Encoding:
        """The embedding of the items."""
        return self._items[0]

    def forward(
        self,
        items: Int[Tensor, " n"],
        offsets: Int[Tensor, " bags_plus_one"],
        bags: Int[Tensor, " pairs"] | None = None,
        *,
        left_out: Int[Tensor, " pairs"] | None = None,
    ) -> Float[Tensor, "pairs width"]:
        """Encode bags; the cost is that of the distinct bags that are asked for.

        Args:
            items: what the embedding takes, bag after bag.
            offsets: where each bag starts in `items`, and n at the end.
            bags: the number of each bag to encode, repeated as they like; all bags by default.
            left_out: the place in `items` of what each does without; -1 for nothing.

        Raises:
            InputError: ids, offsets, bags or places that are no integers or out of range.
        """
        items, offsets = tensor_ids(items), tensor_ids(offsets)
        _check_ends(offsets, items.shape[0])
        num_bags = offsets.shape[0] - 1
        bags = torch.arange(num_bags, device=items.device) if bags is None else tensor_ids(bags)
        _check_bags(bags, num_bags)
        chosen, pair_bags = torch.unique(bags, return_inverse=True)
        starts, sizes = offsets[chosen], offsets[chosen + 1] - offsets[chosen]
        _check_rise(starts, sizes, items.shape[0])
        ends = sizes.cumsum(0)  # of the chosen bags, one after the other
        new_starts = ends - sizes
        shifts = (starts - new_starts).repeat_interleave(sizes)
        chosen_items = items[torch.arange(shifts.shape[0], device=items.device) + shifts]

        distinct, rows = torch.unique(chosen_items, return_inverse=True)
        codes = self.items(distinct)
        # At least float32: what is left of a long sum in bfloat16 would be rounding.
        exact = codes.to(torch.promote_types(codes.dtype, torch.float32))
        sums = F.embedding_bag(rows, exact, new_starts, mode="sum")[pair_bags]
        sizes = sizes[pair_bags]
        if left_out is not None:
            starts, new_starts = starts[pair_bags], new_starts[pair_bags]
            _check_places(left_out, starts, sizes)
            (is_short,) = torch.nonzero(left_out >= 0, as_tuple=True)
            places = (left_out - starts + new_starts)[is_short]
            sums = sums.index_add(0, is_short, exact[rows[places]], alpha=-1)
            sizes = sizes - (left_out >= 0).long()
        return (sums / sizes.clamp(min=1).to(sums.dtype)[:, None] ** self.alpha).to(codes.dtype)

    def train(self, mode: bool = True) -> Self:
        """As every module's; the items follow."""
        if isinstance(self.items, nn.Module):
            self.items.train(mode)
        return super().train(mode)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As every module's; the items follow."""
        if isinstance(self.items, nn.Module):
            self.items.requires_grad_(requires_grad)
        return super().requires_grad_(requires_grad)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        if recurse and isinstance(self.items, nn.Module):
            self.items._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        """The options; the items are shown where they belong."""
        return f"width={self.width}, alpha={self.alpha}"


def _check_ends(offsets: Tensor, num_items: int) -> None:
    if torch.compiler.is_compiling():  # which has no branch on values
        return
    ends = offsets[[0, -1]].tolist() if len(offsets) else []
    if ends != [0, num_items]:
        raise InputError(
            f"offsets must begin with 0 and end with the number of items, {num_items}; got "
            f"{' and '.join(map(str, ends)) or 'none'}"
        )


def _check_bags(bags: Tensor, num_bags: int) -> None:
    if not torch.compiler.is_compiling() and bags.numel():
        low, high = (int(bound) for bound in torch.aminmax(bags))
        if low < 0 or high >= num_bags:
            raise InputError(
                f"bags must be 0..{num_bags - 1}, as many as there are offsets for; got "
                f"{low if low < 0 else high}"
            )


def _check_rise(starts: Tensor, sizes: Tensor, num_items: int) -> None:
    wrong = (starts < 0) | (sizes < 0) | (starts + sizes > num_items)
    if not torch.compiler.is_compiling() and wrong.any():
        start, size = int(starts[wrong][0]), int(sizes[wrong][0])
        raise InputError(
            f"offsets must rise from 0 to the number of items, {num_items}; got a bag from "
            f"{start} to {start + size}"
        )


def _check_places(places: Tensor, starts: Tensor, sizes: Tensor) -> None:
    wrong = (places != -1) & ((places < starts) | (places >= starts + sizes))
    if not torch.compiler.is_compiling() and wrong.any():
        place, start, size = (int(values[wrong][0]) for values in (places, starts, sizes))
        raise InputError(
            f"left_out must be -1 or a place in its own bag, which is from {start} to "
            f"{start + size} (exclusive); got {place}"
        )
