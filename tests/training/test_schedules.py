import pytest
import torch
from torch.optim.lr_scheduler import OneCycleLR

from tablefree.training.schedules import SCHEDULES


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("constant", (1, 1, 1)),
        ("linear", (1, 0.5, 0)),
        ("cosine", (1, 0.5, 0)),
        ("one_cycle", (0.04, 0.8117, 0)),
    ],
)
def test_factors_at_the_start_half_way_and_at_the_end(name, factors):
    found = [SCHEDULES[name](done) for done in (0.0, 0.5, 1.0)]
    assert found == pytest.approx(factors, abs=1e-3)


def test_one_cycle_is_torch_s():
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=101, final_div_factor=1e9)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    # Torch's top is a step earlier.
    ours = [0.1 * SCHEDULES["one_cycle"](step / 100) for step in range(100)]
    assert ours == pytest.approx(rates, abs=0.004)
