import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LinearLR

from tablefree.errors import InputError
from tablefree.rows import RowAdam, Rows

NUM_ROWS, WIDTH = 11, 3
BETA2 = 0.99
OPTIONS = {"lr": 0.1, "weight_decay": 0.2}


def pair(dtype=torch.float32, **options):
    """Rows with `RowAdam`, and a table of the same weights with the dense AdamW."""
    torch.manual_seed(0)
    rows = Rows(NUM_ROWS, WIDTH, sparse=True).to(dtype)
    table = nn.Embedding(NUM_ROWS, WIDTH, dtype=dtype)
    table.load_state_dict(rows.state_dict())
    options = {**OPTIONS, "beta2": BETA2, **options}
    row_adam = RowAdam([rows], **options)
    adam = AdamW(table.parameters(), betas=(0.0, options.pop("beta2")), **options)
    return rows, row_adam, table, adam


def accumulate(module, ids):
    """Add a gradient that depends on all numbers read."""
    targets = ids.unsqueeze(-1).to(module.weight.dtype).cos()
    (module(ids) - targets).square().sum().backward()


def step(module, optimizer, ids):
    optimizer.zero_grad()
    accumulate(module, ids)
    optimizer.step()


def same(rows, table, tolerance=1e-5):
    everything = torch.arange(NUM_ROWS)
    torch.testing.assert_close(rows(everything), table(everything), rtol=tolerance, atol=1e-7)


ids_of_a_batch = st.lists(st.integers(0, NUM_ROWS - 1), max_size=6)
event = st.one_of(
    st.tuples(st.just("step"), ids_of_a_batch),
    st.tuples(st.just("accumulate"), ids_of_a_batch),
    st.tuples(st.just("step without gradient"), st.none()),
    st.tuples(st.just("rate"), st.sampled_from([0.0, 0.01, 0.5, 1.0, 2.0])),
    st.tuples(st.just("read"), st.sampled_from(["state_dict", "eval", "train", "flush"])),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(event, max_size=25),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([0.0, 0.5, 0.999]),
)
def test_any_sequence_of_steps_is_that_of_the_dense_optimizer(events, decay, beta2):
    rows, row_adam, table, adam = pair(torch.float64, weight_decay=decay, beta2=beta2)
    for kind, value in events:
        for module, optimizer in ((rows, row_adam), (table, adam)):
            if kind == "step":
                step(module, optimizer, torch.tensor(value, dtype=torch.int64))
            elif kind == "accumulate":
                accumulate(module, torch.tensor(value, dtype=torch.int64))
            elif kind == "step without gradient":
                optimizer.zero_grad()
                optimizer.step()
            elif kind == "rate":
                optimizer.param_groups[0]["lr"] = value
            elif module is rows:
                getattr(rows, value)()
        same(rows, table, 1e-9)
    rows.flush()
    torch.testing.assert_close(rows.weight, table.weight, rtol=1e-9, atol=1e-12)


def test_float32_over_a_schedule_that_ends_at_zero():
    rows, row_adam, table, adam = pair()
    generator = torch.Generator().manual_seed(1)
    schedules = [LinearLR(one, 1.0, 0.0, 200) for one in (row_adam, adam)]
    for _ in range(220):
        ids = torch.randint(NUM_ROWS, (4,), generator=generator) ** 2 // NUM_ROWS  # uneven
        step(rows, row_adam, ids)
        step(table, adam, ids)
        for schedule in schedules:
            schedule.step()
    assert row_adam.param_groups[0]["lr"] == 0
    same(rows, table)


def test_scales_that_leave_the_range_are_put_into_the_rows():
    rows, row_adam, table, adam = pair(lr=0.5, weight_decay=1.0, beta2=0.5)
    for number in range(200):
        ids = torch.tensor([number % 2] if number < 150 else [5])
        step(rows, row_adam, ids)
        step(table, adam, ids)
    assert rows.weight.isfinite().all()
    same(rows, table)


def test_bags_with_repeated_rows():
    rows, row_adam, table, adam = pair()
    bags = torch.tensor([[1, 1, 4], [4, 9, 1]])
    for _ in range(5):
        for optimizer, read in ((row_adam, rows.sums), (adam, lambda bags: table(bags).sum(1))):
            optimizer.zero_grad()
            read(bags).sub(1).square().sum().backward()
            optimizer.step()
    same(rows, table)


def test_a_step_writes_no_row_that_is_not_in_the_gradient():
    rows, row_adam, _, _ = pair()
    before = rows.weight.detach().clone()
    step(rows, row_adam, torch.tensor([3, 8]))
    with torch._C.DisableTorchFunctionSubclass():  # or the rest of the rows' scale is written too
        changed = (rows.weight != before).any(1)
    assert changed.nonzero().flatten().tolist() == [3, 8]


def test_the_gradient_is_left_as_it_was():
    rows, row_adam, _, _ = pair()
    accumulate(rows, torch.tensor([3, 8]))
    rows.weight.grad = rows.weight.grad.coalesce()
    before = rows.weight.grad.to_dense().clone()
    row_adam.step()
    assert torch.equal(rows.weight.grad.to_dense(), before)


def test_clipping_sees_the_gradient_of_the_rows():
    rows, row_adam, table, adam = pair(weight_decay=2.0)
    for ids in ([1, 2], [1, 3], [2, 4]):
        for module, optimizer in ((rows, row_adam), (table, adam)):
            optimizer.zero_grad()
            accumulate(module, torch.tensor(ids))
            gradient = module.weight.grad
            norm = float((gradient.coalesce().values() if gradient.is_sparse else gradient).norm())
            module.weight.grad = gradient * min(1.0, 0.5 / norm)
            optimizer.step()
    same(rows, table)


def test_groups_have_options_of_their_own():
    pairs = [pair(lr=lr, weight_decay=decay) for lr, decay in ((0.1, 0.5), (0.02, 0.0))]
    row_adam = RowAdam(
        [
            {"params": pairs[0][0], "lr": 0.1, "weight_decay": 0.5},
            {"params": [pairs[1][0]], "lr": 0.02, "weight_decay": 0.0},
        ],
        beta2=BETA2,
    )
    for ids in (torch.tensor([1, 2]), torch.tensor([1, 3])):
        row_adam.zero_grad()
        for rows, _, table, adam in pairs:
            accumulate(rows, ids)
            step(table, adam, ids)
        row_adam.step()
    for rows, _, table, _ in pairs:
        same(rows, table)


def test_checkpoints_resume_exactly(tmp_path):
    rows, row_adam, _, _ = pair()
    schedule = LinearLR(row_adam, 1.0, 0.1, 9)
    batches = torch.randint(NUM_ROWS, (8, 4), generator=torch.Generator().manual_seed(1))
    for number, ids in enumerate(batches):
        if number == 4:
            parts = {"rows": rows, "optimizer": row_adam, "schedule": schedule}
            torch.save(
                {name: part.state_dict() for name, part in parts.items()}, tmp_path / "saved"
            )
        step(rows, row_adam, ids)
        schedule.step()

    resumed, resumed_adam, _, _ = pair(lr=1.0, weight_decay=0.0)
    resumed_schedule = LinearLR(resumed_adam, 1.0, 0.1, 9)
    saved = torch.load(tmp_path / "saved")
    resumed.load_state_dict(saved["rows"])
    resumed_adam.load_state_dict(saved["optimizer"])
    resumed_schedule.load_state_dict(saved["schedule"])
    for ids in batches[4:]:
        step(resumed, resumed_adam, ids)
        resumed_schedule.step()
    everything = torch.arange(NUM_ROWS)
    assert torch.equal(resumed(everything), rows(everything))


def test_an_older_state_can_be_put_back():
    rows, row_adam, _, _ = pair()
    step(rows, row_adam, torch.tensor([1, 2]))
    weights, state = copy.deepcopy((rows.state_dict(), row_adam.state_dict()))
    step(rows, row_adam, torch.tensor([2, 3]))
    expected = rows(torch.arange(NUM_ROWS)).detach()
    step(rows, row_adam, torch.tensor([3, 4]))
    rows.load_state_dict(weights)
    row_adam.load_state_dict(state)
    step(rows, row_adam, torch.tensor([2, 3]))
    assert torch.equal(rows(torch.arange(NUM_ROWS)), expected)


def test_a_closure_computes_the_loss():
    rows, row_adam, _, _ = pair()

    def closure():
        row_adam.zero_grad()
        loss = rows(torch.tensor([1])).square().sum()
        loss.backward()
        return float(loss.detach())

    first = row_adam.step(closure)
    assert row_adam.step(closure) < first


@pytest.mark.parametrize(
    "options",
    [
        {"lr": -1},
        {"weight_decay": float("inf")},
        {"eps": -1},
        {"beta2": 1.0},
        {"moments": "column"},
        {"seed": -1},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        RowAdam([Rows(2, 2, sparse=True)], **options)


@pytest.mark.parametrize("module", [nn.Embedding(2, 2, sparse=True), Rows(2, 2)])
def test_other_modules_are_refused(module):
    with pytest.raises(InputError, match="sparse=True, got"):
        RowAdam([module])


def test_it_trains_parameters_as_it_trains_modules():
    for make in (
        lambda: Rows(NUM_ROWS, WIDTH, sparse=True),
        lambda: nn.Embedding(11, 3, sparse=True),
    ):
        rows, row_adam, _, _ = pair()
        other = make()
        other.load_state_dict(rows.state_dict())
        options = {**OPTIONS, "beta2": BETA2}
        other_adam = RowAdam(other.parameters(), **options)
        for ids in ([1, 2], [1, 3], [2, 4]):
            step(rows, row_adam, torch.tensor(ids))
            step(other, other_adam, torch.tensor(ids))
        same(other, rows)


def test_copies_and_pickles_go_on_to_the_bit():
    rows, row_adam, _, _ = pair()
    step(rows, row_adam, torch.tensor([1, 2]))
    copies = [copy.deepcopy((rows, row_adam)), pickle.loads(pickle.dumps((rows, row_adam)))]
    for module, optimizer in ((rows, row_adam), *copies):
        step(module, optimizer, torch.tensor([2, 3]))
        assert torch.equal(module(torch.arange(NUM_ROWS)), rows(torch.arange(NUM_ROWS)))


@pytest.mark.parametrize("norm_type", [1.0, 2.0, float("inf")])
def test_clipping_by_torch_is_that_of_dense_gradients(norm_type):
    rows, row_adam, table, adam = pair(weight_decay=2.0)
    vector = nn.Parameter(torch.ones(3))
    for ids in ([1, 2, 1], [1, 3], [2, 4]):
        norms = []
        for module, optimizer in ((rows, row_adam), (table, adam)):
            optimizer.zero_grad()
            accumulate(module, torch.tensor(ids))
            accumulate(module, torch.tensor(ids[:1]))
            vector.grad = torch.ones(3)
            norms.append(
                nn.utils.clip_grad_norm_([module.weight, vector], 0.5, norm_type=norm_type)
            )
            nn.utils.clip_grad_value_([module.weight, vector], 0.1)
            assert module.weight.grad.to_dense().abs().max() <= 0.1
            optimizer.step()
        torch.testing.assert_close(*norms)
    same(rows, table)


@pytest.mark.parametrize("kind", [AdamW, torch.optim.Adam, torch.optim.RMSprop, torch.optim.NAdam])
def test_optimizers_that_cannot_say_what_can_before_anything_changes(kind):
    rows, other = Rows(5, 2, sparse=True), nn.Parameter(torch.ones(2))
    before = rows.weight.detach().clone()
    optimizer = kind([other, rows.weight])
    (rows(torch.tensor([1])).sum() + other.sum()).backward()
    with pytest.raises(InputError, match=r"use tablefree.optimizers\(model\)"):
        optimizer.step()
    assert torch.equal(rows.weight, before)
    assert torch.equal(other, torch.ones(2))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # torch's own Adagrad
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adagrad, torch.optim.SparseAdam])
def test_optimizers_of_sparse_gradients_still_train_rows(kind):
    rows, table = Rows(5, 2, sparse=True), nn.Embedding(5, 2, sparse=True)
    table.load_state_dict(rows.state_dict())
    for module in (rows, table):
        step(module, kind(module.parameters(), lr=0.1), torch.tensor([1, 1, 2]))
    torch.testing.assert_close(rows.weight, table.weight)


def test_dense_gradients_are_refused():
    rows, row_adam, _, _ = pair()
    rows.weight.grad = torch.zeros_like(rows.weight)
    with pytest.raises(InputError, match="sparse gradients"):
        row_adam.step()


def test_float16_is_refused():
    for half in (Rows(2, 2, sparse=True).half(), nn.Parameter(torch.ones(2, 2).half())):
        with pytest.raises(InputError, match=r"bfloat16 by tablefree.hold_rows\(model\)"):
            RowAdam([half])


def test_a_moment_for_each_row_is_the_mean_of_those_of_its_numbers():
    """A row of Adam is `g / sqrt(moment)`, with one moment for all of its numbers."""
    torch.manual_seed(0)
    rows = Rows(NUM_ROWS, WIDTH, sparse=True).double()
    expected = rows.weight.detach().clone()
    moment = torch.zeros(NUM_ROWS, 1, dtype=torch.float64)
    optimizer = RowAdam([rows], **OPTIONS, beta2=BETA2, moments="row")
    for number, ids in enumerate(([1, 2, 1], [1, 3], [2, 4], [5]), start=1):
        ids = torch.tensor(ids)
        optimizer.zero_grad()
        accumulate(rows, ids)
        gradient = rows.weight.grad.to_dense()
        optimizer.step()
        moment = BETA2 * moment + (1 - BETA2) * gradient.square().mean(1, keepdim=True)
        expected *= 1 - OPTIONS["lr"] * OPTIONS["weight_decay"]
        root = (moment / (1 - BETA2**number)).sqrt() + 1e-8
        expected -= OPTIONS["lr"] * gradient / root
    torch.testing.assert_close(rows(torch.arange(NUM_ROWS)), expected)


def test_a_state_from_before_there_was_a_choice_of_moments_can_be_loaded():
    rows, row_adam, _, _ = pair()
    step(rows, row_adam, torch.tensor([1, 2]))
    state = row_adam.state_dict()
    for name in ("moments", "seed"):
        del state["param_groups"][0][name]
    row_adam.load_state_dict(state)
    step(rows, row_adam, torch.tensor([2, 3]))
