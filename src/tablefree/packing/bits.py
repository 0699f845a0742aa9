"""Small numbers one after the other in bytes, the lowest bits first."""

import torch
from jaxtyping import Int, UInt8
from torch import Tensor


def pack_bits(numbers: UInt8[Tensor, "n k"], bits: int) -> UInt8[Tensor, "n row_bytes"]:
    """Rows of numbers below 2^bits, each row in whole bytes."""
    if bits == 8:
        return numbers.contiguous()
    num_rows, count = numbers.shape
    row_bytes = -(-count * bits // 8)
    packed = torch.zeros(num_rows, row_bytes + 1, dtype=torch.int16)
    for column in range(count):
        byte, shift = divmod(column * bits, 8)
        word = numbers[:, column].to(torch.int16) << shift  # of 15 bits at most
        packed[:, byte] |= word & 0xFF
        packed[:, byte + 1] |= word >> 8
    return packed[:, :row_bytes].to(torch.uint8)


def unpack_bits(
    packed: UInt8[Tensor, "n row_bytes"], count: int, bits: int
) -> Int[Tensor, "n count"]:
    """What `pack_bits` packed, int64; bytes after it are left alone."""
    first = torch.arange(count, device=packed.device) * bits
    byte, shift = first // 8, first % 8
    last = packed.shape[1] - 1
    low, high = packed[:, byte].long(), packed[:, (byte + 1).clamp(max=last)].long()
    return ((low | (high << 8)) >> shift) & ((1 << bits) - 1)
