import pytest
import torch

from tablefree.encodings import SketchEncoding
from tablefree.errors import CheckpointError, InputError


def test_it_adds_the_rows_that_the_hashes_pick():
    encoding = SketchEncoding(50, 3, num_hashes=4, seed="item")
    ids = torch.tensor([[5, -7], [2**62, 5]])
    tables = encoding.rows.weight.view(4, 50, 3)
    buckets = encoding.buckets(ids)
    expected = sum(tables[h][buckets[..., h]] for h in range(4))
    torch.testing.assert_close(encoding(ids), expected)


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 0), (3, 4)])
def test_any_shape(shape):
    assert SketchEncoding(50, 3, seed=0)(torch.zeros(shape, dtype=torch.int64)).shape == (*shape, 3)


def test_a_code_touches_only_its_rows():
    for sparse in (False, True):
        encoding = SketchEncoding(1000, 2, seed=0, sparse=sparse)
        encoding(torch.tensor([3, 4])).sum().backward()
        gradient = encoding.rows.weight.grad
        assert gradient.is_sparse == sparse
        touched = gradient.to_dense().abs().sum(1).nonzero()
        assert len(touched) == 8


def test_the_code_starts_at_the_common_scale():
    torch.manual_seed(0)
    codes = SketchEncoding(5000, 8, seed=0)(torch.arange(5000))
    assert codes.std().item() == pytest.approx(0.1, rel=0.05)


def test_other_hash_functions_are_refused():
    state = SketchEncoding(50, 3, seed="item").state_dict()
    with pytest.raises(CheckpointError, match="seed"):
        SketchEncoding(50, 3, seed="user").load_state_dict(state)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="num_rows"):
        SketchEncoding(0, 3, seed=0)
    with pytest.raises(InputError, match="float"):
        SketchEncoding(5, 3, seed=0)(torch.rand(3))
