import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.errors import InputError
from tablefree.kernels import many, many_op, op

BIT_IDS = st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))
FEATURES = st.lists(st.lists(BIT_IDS, max_size=20), min_size=1, max_size=5)


@settings(deadline=None)
@given(FEATURES, st.integers(1, 3))
def test_places_lead_to_the_ids_and_each_is_there_once(features, num_threads):
    ids = np.array([identifier for feature in features for identifier in feature], np.int64)
    sizes = [len(feature) for feature in features]
    distinct, places, counts = many.distinct(ids, sizes, num_threads)
    assert distinct.shape == (len(features), max(len(set(feature)) for feature in features))
    assert (distinct.reshape(-1)[places] == ids).all()
    for feature, row, count in zip(features, distinct, counts, strict=True):
        assert row[:count].tolist() == list(dict.fromkeys(feature))
        assert not row[count:].any()


def test_many_ids_and_threads():
    generator = np.random.default_rng(0)
    sizes = [30_000, 0, 1, 20_000]
    ids = generator.integers(0, 9000, sum(sizes))
    one, other = (many.distinct(ids, sizes, threads) for threads in (1, 4))
    for first, second in zip(one, other, strict=True):
        assert np.array_equal(first, second)
    assert one[2].tolist() == [len(np.unique(part)) for part in np.split(ids, np.cumsum(sizes)[:3])]


@pytest.mark.parametrize("family", ["multiply_shift", "carter_wegman"])
@pytest.mark.parametrize("transform", ["uniform", "gaussian"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("num_buckets", [1000, 2**20])
def test_codes_are_those_of_each_feature(family, transform, dtype, num_buckets):
    ids = torch.randint(-(2**63), 2**63 - 1, (3, 50), generator=torch.Generator().manual_seed(0))
    seeds = [-7, 0, 2**62]
    options = (family, 8, num_buckets, transform, dtype)
    codes = many_op.dense_hash_many(ids, seeds, *options)
    expected = [op.dense_hash(row, seed, *options) for row, seed in zip(ids, seeds, strict=True)]
    assert torch.equal(codes, torch.stack(expected))


def test_threads_do_not_matter():
    ids = np.arange(3000).reshape(3, 1000)
    one, other = np.empty((2, 3, 1000, 256), np.float32)
    for codes, threads in ((one, 1), (other, 5)):
        many.dense_hash(ids, codes, [1, 2, 3], "multiply_shift", 2**20, "uniform", threads)
    assert np.array_equal(one, other)


def test_batch_norm_is_torchs_on_whole_features():
    generator = torch.Generator().manual_seed(0)
    rows, grad = torch.randn(2, 3, 40, 6, generator=generator)
    rows = (3 + rows).requires_grad_()
    weight, bias = torch.randn(2, 3, 6, generator=generator).requires_grad_().unbind()
    running = torch.zeros(3, 6), torch.ones(3, 6)
    out, mean, variance = many_op.batch_norm_many(
        rows, torch.full((3,), 40), *running, weight, bias, 1e-5
    )
    expected = torch.stack(
        [
            torch.nn.functional.batch_norm(row, None, None, w, b, training=True)
            for row, w, b in zip(rows, weight, bias, strict=True)
        ]
    )
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(mean, rows.mean(1))
    torch.testing.assert_close(variance, rows.var(1, correction=0))
    leaves = [rows, weight, bias]
    ours = torch.autograd.grad(out, leaves, grad)
    for one, other in zip(ours, torch.autograd.grad(expected, leaves, grad), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_opcheck():
    torch.library.opcheck(many_op.distinct_ids, (torch.tensor([3, 3, 5, 5, 5]), [3, 2]))
    torch.library.opcheck(
        many_op.dense_hash_many,
        (torch.arange(6).view(3, 2).T, [1, -2], "multiply_shift", 4, 64, "uniform", torch.float32),
    )
    generator = torch.Generator().manual_seed(0)
    rows, grad = torch.randn(2, 2, 5, 3, generator=generator)
    numbers = [torch.rand(2, 3, generator=generator) for _ in range(4)]
    counts = torch.tensor([5, 3])
    leaves = [rows.requires_grad_(), counts, *numbers[:2]]
    leaves += [tensor.clone().requires_grad_() for tensor in numbers[2:]]
    torch.library.opcheck(many_op.batch_norm_many, (*leaves, 1e-5))
    torch.library.opcheck(
        many_op.batch_norm_many_backward, (grad, rows.detach(), counts, *numbers[:3], 1e-5)
    )


def test_another_dtype_is_refused():
    with pytest.raises(InputError, match=r"float32 or bfloat16, got torch\.int8"):
        many_op.dense_hash_many(
            torch.zeros(1, 1).long(), [0], "multiply_shift", 4, 64, "uniform", torch.int8
        )
