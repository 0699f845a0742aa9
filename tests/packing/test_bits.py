import torch
from hypothesis import given
from hypothesis import strategies as st

from tablefree.packing.bits import pack_bits, unpack_bits


@given(st.integers(2, 8), st.integers(1, 20), st.integers(0, 9), st.integers(0, 2**32))
def test_what_is_packed_comes_back_in_whole_bytes(bits, count, num_rows, seed):
    generator = torch.Generator().manual_seed(seed)
    numbers = torch.randint(2**bits, (num_rows, count), generator=generator, dtype=torch.uint8)
    packed = pack_bits(numbers, bits)
    assert packed.shape == (num_rows, -(-count * bits // 8))
    assert torch.equal(unpack_bits(packed, count, bits), numbers.long())


def test_the_lowest_bits_come_first():
    assert pack_bits(torch.tensor([[1, 2, 3]], dtype=torch.uint8), 4).tolist() == [[0x21, 0x03]]
    assert pack_bits(torch.tensor([[7, 1, 5]], dtype=torch.uint8), 3).tolist() == [[0x4F, 0x01]]
