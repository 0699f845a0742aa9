import torch
from hypothesis import example, given
from hypothesis import strategies as st

from tablefree import DenseHashEncoding
from tablefree.bench.eager_hash import EagerDenseHash


@given(
    ids=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20),
    seed=st.integers(0, 2**64 - 1),
    num_hashes=st.integers(1, 20),
    num_buckets=st.sampled_from([2, 3, 256, 2**20, 2**24]),
)
@example(ids=[0, -1, 2**63 - 1, -(2**63)], seed=2**63, num_hashes=64, num_buckets=2**20)
def test_it_has_the_bits_of_the_encoding(ids, seed, num_hashes, num_buckets):
    encoding = DenseHashEncoding(num_hashes, seed=seed, num_buckets=num_buckets)
    ids = torch.tensor(ids, dtype=torch.int64)
    assert torch.equal(EagerDenseHash(encoding)(ids), encoding(ids))
