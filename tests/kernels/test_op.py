import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tablefree.errors import InputError
from tablefree.kernels import op, reference

OPERATORS = {
    "hash_buckets": (op.hash_buckets, (-7, "multiply_shift", 6, 1000)),
    "dense_hash": (op.dense_hash, (-7, "carter_wegman", 6, 1000, "gaussian", torch.float32)),
    "dense_hash_bfloat16": (
        op.dense_hash,
        (-7, "multiply_shift", 6, 1000, "uniform", torch.bfloat16),
    ),
    "dense_hash_int8": (op.dense_hash, (-7, "multiply_shift", 6, 1024, "uniform", torch.int8)),
}
every_operator = pytest.mark.parametrize(
    ("operator", "options"), OPERATORS.values(), ids=OPERATORS.keys()
)


@every_operator
def test_opcheck(operator, options):
    torch.library.opcheck(operator, (torch.arange(5), *options))
    torch.library.opcheck(operator, (torch.arange(6).view(2, 3).T, *options))


@every_operator
@pytest.mark.parametrize("shape", [(), (0,), (2, 0), (4,), (2, 3)])
def test_any_shape(operator, options, shape):
    ids = torch.full(shape, 11)
    out = operator(ids, *options)
    assert out.shape == (*shape, 6)
    assert torch.equal(out, operator(torch.tensor(11), *options).expand(*shape, 6))


@every_operator
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int32])
def test_every_width_is_the_same_id(operator, options, dtype):
    ids = torch.arange(10)
    assert torch.equal(operator(ids.to(dtype), *options), operator(ids, *options))


@every_operator
def test_layout_does_not_matter(operator, options):
    ids = torch.arange(24).view(4, 6)
    for view in (ids.T, ids[::2, ::3], ids[:, 2], ids[:1].expand(3, 6)):
        assert torch.equal(operator(view, *options), operator(view.contiguous(), *options))


def test_a_negative_seed_stands_for_its_twos_complement():
    buckets = torch.ops.tablefree.hash_buckets(torch.arange(9), -1, "multiply_shift", 3, 99)
    expected = reference.hash_buckets(np.arange(9), 2**64 - 1, "multiply_shift", 3, 99)
    assert buckets.tolist() == expected.tolist()


@every_operator
def test_fake_tensors(operator, options):
    real = operator(torch.arange(6).view(2, 3), *options)
    with FakeTensorMode():
        fake = operator(torch.empty(2, 3, dtype=torch.int64), *options)
    assert (fake.shape, fake.dtype) == (real.shape, real.dtype)


@every_operator
def test_compiles_into_one_graph(operator, options):
    compiled = torch.compile(
        lambda ids: 2 * operator(ids + 1, *options), fullgraph=True, backend="aot_eager"
    )
    ids = torch.arange(5)
    assert torch.equal(compiled(ids), 2 * operator(ids + 1, *options))


@every_operator
def test_exports(operator, options):
    class Encode(torch.nn.Module):
        def forward(self, ids):
            return operator(ids, *options)

    ids = torch.arange(5)
    batch = torch.export.Dim("batch")
    program = torch.export.export(Encode(), (ids,), dynamic_shapes=({0: batch},))
    longer = torch.arange(8)
    assert torch.equal(program.module()(longer), operator(longer, *options))


@pytest.mark.parametrize(
    ("operator", "options", "message"),
    [
        (op.hash_buckets, (0, "md5", 1, 1), "unknown hash family"),
        (op.dense_hash, (0, "multiply_shift", 1, 1, "uniform", torch.float32), "2 to 16777216"),
        (op.dense_hash, (0, "multiply_shift", 1, 9, "gaussian", torch.float32), "even number"),
        (op.dense_hash, (0, "multiply_shift", 2, 9, "gaussian", torch.int8), "int8 if uniform"),
        (op.dense_hash, (0, "multiply_shift", 2, 9, "uniform", torch.float16), "float16"),
    ],
)
def test_what_the_contract_does_not_define_is_refused(operator, options, message):
    with pytest.raises(InputError, match=message):
        operator(torch.arange(3), *options)


def test_codes_are_written_where_asked():
    ids, options = torch.arange(6).view(2, 3), (-7, "multiply_shift", 1000, "uniform")
    for dtype in op.CODE_DTYPES:
        out = torch.empty(2, 3, 4, dtype=dtype)
        torch.library.opcheck(op.dense_hash_out, (ids, out, *options))
        op.dense_hash_out(ids, out, *options)
        expected = op.dense_hash(ids, -7, "multiply_shift", 4, 1000, "uniform", dtype)
        assert torch.equal(out, expected)
