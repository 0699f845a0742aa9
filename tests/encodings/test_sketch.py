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
    assert codes.std().item() == pytest.approx(1, rel=0.05)


def test_other_hash_functions_are_refused():
    state = SketchEncoding(50, 3, seed="item").state_dict()
    with pytest.raises(CheckpointError, match="seed"):
        SketchEncoding(50, 3, seed="user").load_state_dict(state)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="num_rows"):
        SketchEncoding(0, 3, seed=0)
    with pytest.raises(InputError, match="float"):
        SketchEncoding(5, 3, seed=0)(torch.rand(3))


def test_ids_met_in_training_have_rows_of_their_own():
    encoding = SketchEncoding(4, 3, own_rows=160, seed="item")
    ids = torch.tensor([[5, -7], [2**62, 5]])
    codes = encoding(ids)
    rows = encoding.claims(ids.flatten()) + 16
    torch.testing.assert_close(codes, encoding.rows.weight[rows].view(2, 2, 3))
    codes.sum().backward()
    assert encoding.rows.weight.grad.abs().sum(1).nonzero().flatten().tolist() == sorted(
        set(rows.tolist())
    )
    assert torch.equal(encoding.eval()(ids), codes)


def test_an_id_never_trained_is_neutral():
    encoding = SketchEncoding(4, 3, own_rows=160, seed="item")
    encoding(torch.arange(50))
    encoding.eval()
    assert not encoding(torch.arange(1000, 1010)).any()
    assert encoding(torch.tensor([7, 1000])).any(1).tolist() == [True, False]


def test_an_id_that_came_too_late_adds_shared_rows():
    encoding = SketchEncoding(50, 3, num_hashes=2, own_rows=16, seed="item")
    encoding(torch.arange(16))
    late = torch.arange(16, 40)
    codes = encoding(late)
    torch.testing.assert_close(codes, encoding.rows.weight[encoding.picks(late)].sum(1))
    both = encoding(torch.tensor([20, 3]))
    torch.testing.assert_close(both[0], codes[4])
    torch.testing.assert_close(both[1:], encoding(torch.tensor([3])))


def test_own_rows_start_at_the_scale_of_shared_ones():
    torch.manual_seed(0)
    encoding = SketchEncoding(2000, 8, own_rows=1600, seed=0)
    own, shared = encoding(torch.arange(1000)), encoding(torch.arange(10_000, 20_000))
    assert own.std().item() == pytest.approx(encoding.std, rel=0.05)
    assert shared[encoding.claims(torch.arange(10_000, 20_000)) < 0].std().item() == pytest.approx(
        encoding.std, rel=0.05
    )


@pytest.mark.parametrize("own_rows", [0, 160])
@pytest.mark.parametrize("num_rows", [50, 64])
def test_inference_gives_the_codes_of_training(own_rows, num_rows):
    encoding = SketchEncoding(num_rows, 3, own_rows=own_rows, seed="item")
    encoding(torch.arange(300))  # more than there are rows
    encoding.rows.decay(0.5)
    ids = torch.arange(-50, 400)
    expected = encoding.eval()(ids)
    assert expected.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(encoding(ids), expected)
        torch.testing.assert_close(encoding(ids.view(9, 50)), expected.view(9, 50, 3))
        assert torch.equal(encoding(ids[::7]), encoding(ids)[::7])
