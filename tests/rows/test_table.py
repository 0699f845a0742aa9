import copy
import pickle
import threading

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from tablefree.rows.table import SMALLEST_SCALE, Rows


def decayed(*factors, **options):
    """Rows, and what a pass over all of them for each factor would have made of them."""
    rows = Rows(7, 3, **options)
    expected = rows.weight.detach().clone()
    for factor in factors:
        rows.decay(factor)
        expected *= factor
    return rows, expected


def test_rows_without_decay_are_an_embedding():
    torch.manual_seed(0)
    rows = Rows(7, 3)
    torch.manual_seed(0)
    plain = nn.Embedding(7, 3)
    indices = torch.tensor([[1, 6], [0, 1]])
    assert torch.equal(rows(indices), plain(indices))
    assert rows.state_dict().keys() == plain.state_dict().keys()


def test_decay_touches_no_row_and_every_lookup_sees_it():
    rows, expected = decayed(0.5, 0.3)
    before = rows.weight.detach().clone()
    indices = torch.tensor([[1, 6], [0, 1], [2, 2]])
    torch.testing.assert_close(rows(indices), expected[indices])
    torch.testing.assert_close(rows.sums(indices), expected[indices].sum(1))
    assert torch.equal(rows.weight, before)


def test_lookups_take_any_shape():
    rows, _ = decayed(0.5)
    assert rows(torch.tensor(3)).shape == (3,)
    assert rows(torch.empty(2, 0, dtype=torch.int64)).shape == (2, 0, 3)
    assert rows.sums(torch.empty(0, 4, dtype=torch.int64)).shape == (0, 3)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("call", ["forward", "sums"])
def test_the_gradient_is_that_of_the_rows(call, sparse):
    rows, expected = decayed(0.25, sparse=sparse)
    expected.requires_grad_()
    indices = torch.tensor([[1, 6], [0, 1]])
    bags = expected[indices]
    (bags if call == "forward" else bags.sum(1)).pow(3).sum().backward()
    getattr(rows, call)(indices).pow(3).sum().backward()
    assert rows.weight.grad.is_sparse == sparse
    torch.testing.assert_close(rows.weight.grad.to_dense(), expected.grad)


def test_addition_is_to_the_decayed_rows():
    rows, expected = decayed(0.5)
    rows.add(torch.tensor([5, 2]), torch.ones(2, 3))
    expected[[2, 5]] += 1
    torch.testing.assert_close(rows(torch.arange(7)), expected)


@pytest.mark.parametrize("factor", [0.5, 0.0, -0.5])
def test_scales_stay_in_range(factor):
    rows, expected = decayed(*[factor] * 90)
    assert SMALLEST_SCALE <= rows.scale <= 1
    assert rows.weight.isfinite().all()
    torch.testing.assert_close(rows(torch.arange(7)), expected, atol=0, rtol=1e-6)


@pytest.mark.parametrize(
    "use",
    [
        lambda rows: rows.flush(),
        lambda rows: rows.eval(),
        lambda rows: nn.Sequential(rows).eval(),
        lambda rows: rows.to(torch.float32),
        lambda rows: rows.weight.norm(),
        lambda rows: rows.weight.data,
        lambda rows: torch.stack([rows.weight, rows.weight]),
        lambda rows: torch.nn.utils.parameters_to_vector(rows.parameters()),
        lambda rows: copy.deepcopy(rows),
        lambda rows: pickle.dumps(rows),
        lambda rows: rows.weight.numpy(force=True),
        lambda rows: repr(rows.weight),
    ],
)
def test_the_weight_is_the_rows_after(use):
    rows, expected = decayed(0.3)
    use(rows)
    assert rows.scale == 1
    assert type(rows.weight) is nn.Parameter
    torch.testing.assert_close(rows.weight.detach(), expected)


@pytest.mark.parametrize("wrap", [lambda rows: rows, nn.Sequential])
def test_a_state_dict_has_the_rows_and_writes_nothing(wrap):
    rows, expected = decayed(0.3)
    (value,) = wrap(rows).state_dict().values()
    assert rows.scale == 0.3
    torch.testing.assert_close(value, expected)
    value.zero_()
    torch.testing.assert_close(rows(torch.arange(7)), expected)


@pytest.mark.parametrize(
    "ask",
    [
        lambda rows: rows.zero_grad(),
        lambda rows: rows.weight.shape,
        lambda rows: rows.requires_grad_(True),
        lambda rows: rows(torch.tensor([3])).sum().backward(),
        lambda rows: nn.utils.clip_grad_norm_(rows.parameters(), 1.0),
    ],
)
def test_what_every_step_does_costs_no_pass_over_the_rows(ask):
    rows, expected = decayed(0.3, sparse=True)
    rows(torch.tensor([3])).sum().backward()
    ask(rows)
    assert rows.scale == 0.3
    torch.testing.assert_close(rows(torch.arange(7)), expected)


def test_a_move_to_half_precision_does_not_overflow():
    rows, expected = decayed(*[0.5] * 40)
    torch.testing.assert_close(rows.half().weight.detach(), expected.half())


def test_training_mode_keeps_the_scale():
    rows, _ = decayed(0.3)
    assert rows.train().scale == 0.3


def test_loaded_weights_are_rows():
    rows, _ = decayed(0.3)
    plain = nn.Embedding(7, 3)
    rows.load_state_dict(plain.state_dict())
    assert torch.equal(rows(torch.arange(7)), plain.weight)


def test_a_checkpoint_without_the_rows_leaves_them():
    rows, expected = decayed(0.3)
    rows.load_state_dict({}, strict=False)
    torch.testing.assert_close(rows(torch.arange(7)), expected)


def test_copies_decay_apart():
    rows, expected = decayed(0.3)
    copied = copy.deepcopy(rows)
    rows.decay(0.5)
    torch.testing.assert_close(copied(torch.arange(7)), expected)


def test_pickled_rows_are_the_rows():
    rows, expected = decayed(0.3)
    loaded = pickle.loads(pickle.dumps(rows))
    torch.testing.assert_close(loaded(torch.arange(7)), expected)
    assert loaded.scale == 1


def test_rows_that_share_a_weight_share_its_scale():
    rows, expected = decayed(0.3)
    other = Rows(7, 3)
    other.weight = rows.weight
    other.decay(0.5)
    torch.testing.assert_close(rows(torch.arange(7)), expected / 2)
    torch.testing.assert_close(other(torch.arange(7)), expected / 2)


def test_another_module_sees_the_rows_too():
    rows, expected = decayed(0.3)
    plain = nn.Embedding(7, 3)
    plain.weight = rows.weight
    torch.testing.assert_close(plain(torch.arange(7)), expected)


@pytest.mark.parametrize("average", [{}, {"multi_avg_fn": get_ema_multi_avg_fn(0.9)}])
def test_averages_are_of_the_rows(average):
    rows, table = Rows(7, 3), nn.Embedding(7, 3)
    table.load_state_dict(rows.state_dict())
    averaged, expected = (AveragedModel(module, **average) for module in (rows, table))
    for _ in range(5):
        rows.decay(2.0**-15)
        rows.add(torch.tensor([2]), torch.ones(1, 3))
        with torch.no_grad():
            table.weight.mul_(2.0**-15)[2] += 1
        averaged.update_parameters(rows)
        expected.update_parameters(table)
    torch.testing.assert_close(averaged(torch.arange(7)), expected(torch.arange(7)))


@pytest.mark.parametrize("detach", [False, True])
def test_functional_calls_see_the_rows(detach):
    rows, expected = decayed(0.3)
    parameters = {k: v.detach() if detach else v for k, v in rows.named_parameters()}
    indices = torch.tensor([2, 5])
    torch.testing.assert_close(functional_call(rows, parameters, (indices,)), expected[indices])

    def loss(parameters, indices):
        return functional_call(rows, parameters, (indices,)).square().sum()

    gradient = grad(loss)(parameters, indices)["weight"]
    torch.testing.assert_close(gradient[indices], 2 * expected[indices])
    each = vmap(grad(loss), in_dims=(None, 0))(parameters, indices[:, None])["weight"]
    torch.testing.assert_close(each[[0, 1], indices], 2 * expected[indices])


@pytest.mark.parametrize("read", ["flush", "state_dict", "eval", "forward"])
def test_threads_that_read_scale_nothing_twice(read):
    for _ in range(20):
        rows = Rows(50_000, 4)
        expected = rows.weight.detach() * 0.5
        rows.decay(0.5)
        call = getattr(rows, read)
        arguments = (torch.arange(9),) if read == "forward" else ()
        threads = [threading.Thread(target=call, args=arguments) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        torch.testing.assert_close(rows.weight.detach(), expected)


def test_a_weight_that_gets_a_scale_while_it_is_read_keeps_it():
    rows = Rows(9, 4)
    before, indices = rows.weight.detach().clone(), torch.tensor([3, 7])
    turns = iter([0.5])

    def look_up(weight):
        for factor in turns:
            rows.decay(factor)
        return nn.functional.embedding(indices, weight)

    found = rows.read(look_up)
    assert rows.scale == 0.5
    assert torch.equal(found, 0.5 * before[indices])


def test_a_thread_that_saves_beside_a_training_gets_the_rows_and_leaves_them():
    def train(watch):
        torch.manual_seed(0)
        rows, done, states = Rows(20_000, 4, sparse=True), threading.Event(), []

        def save():
            while not done.is_set():
                states.append(float(rows.state_dict()["weight"].abs().max()))

        thread = threading.Thread(target=save)
        if watch:
            thread.start()
        for step in range(300):
            rows.decay(0.7)  # folded every 116 steps
            rows.add(torch.tensor([step]), torch.ones(1, 4))
        done.set()
        if watch:
            thread.join()
        return rows(torch.arange(20_000)).detach(), states

    alone, _ = train(watch=False)
    watched, states = train(watch=True)
    assert torch.equal(watched, alone)
    assert max(states) < 10
