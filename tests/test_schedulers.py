"""Stage schedule: Python floats, warm-up, decay, and what it does outside its stage."""

import pytest
import torch

from ovs3d.schedulers import StageScheduler, StageSchedulerConfig


def make(**settings: float) -> StageScheduler:
    return StageScheduler(StageSchedulerConfig(**settings))  # pyright: ignore[reportArgumentType]


def test_factor_is_a_python_float() -> None:
    schedule = make(start=10, stop=110, warmup=5)
    assert all(type(schedule.factor(step)) is float for step in range(0, 150, 7))


def test_warm_up_is_linear_and_the_stage_ends_at_the_final_rate() -> None:
    schedule = make(start=0, stop=1000, warmup=10, final=0.1)
    for step in range(10):
        assert schedule.factor(step) == pytest.approx((step + 1) / 10 * 0.1 ** (step / 1000))
    assert schedule.factor(500) == pytest.approx(0.1**0.5)
    assert schedule.factor(1000) == schedule.factor(5000) == pytest.approx(0.1)


def test_rate_before_the_stage_is_that_of_its_first_step() -> None:
    schedule = make(start=100, stop=200, warmup=4, final=0.5)
    assert schedule.factor(0) == schedule.factor(100) == 0.25
    assert schedule.factor(103) == pytest.approx(0.5 ** (3 / 100))


def test_stage_without_a_step_has_a_rate() -> None:
    assert 0.0 < make(start=0, stop=0).factor(3) <= 1.0


def test_state_loads_with_weights_only(tmp_path) -> None:
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(2))], lr=0.5)
    schedule = make(start=0, stop=10, warmup=1).get_scheduler(optimizer, 0.5)
    for _ in range(10):
        optimizer.step()
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * 0.02)
    torch.save([optimizer.state_dict(), schedule.state_dict()], tmp_path / "state.pt")
    assert torch.load(tmp_path / "state.pt", weights_only=True)[1]["last_epoch"] == 10
