import math

import pytest
import torch
from torch import Tensor

from ovs3d.losses import (
    coarseness,
    distillation_loss,
    fda_loss,
    feature_loss,
    js_divergence,
    rda_loss,
)

LN2 = math.log(2.0)
EVERY = torch.ones(1, dtype=torch.bool)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def random_log_probs(*shape: int, generator: torch.Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    return (2.0 * torch.randn(*shape, generator=generator, dtype=dtype)).log_softmax(dim=-1)


def slow_js(log_p: Tensor, log_q: Tensor) -> float:
    """The textbook form, class by class."""
    total = 0.0
    for a, b in zip(log_p.exp().tolist(), log_q.exp().tolist(), strict=True):
        m = (a + b) / 2
        total += 0.5 * (a * math.log(a / m) if a > 0 else 0.0) + 0.5 * (b * math.log(b / m) if b > 0 else 0.0)
    return total


# Coarseness of the selection.


@pytest.mark.parametrize(
    ("selection", "valid", "expected"),
    [
        (torch.eye(3)[:1], [True], 1.0),
        (torch.eye(3)[2:], [True], 0.0),
        (torch.full((4, 3), 1 / 3), [True] * 4, 0.5),
        (torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]), [True] * 2, 0.5),
        (torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]), [True, False], 0.1 + 0.4 / 3 + 0.1),
        (torch.eye(3), [False] * 3, 0.0),
        (torch.ones(5, 1), [True] * 5, 0.0),  # One scale alone is neither.
    ],
)
def test_coarseness_by_hand(selection: torch.Tensor, valid: list[bool], expected: float):
    selection.requires_grad_()
    loss = coarseness(selection, torch.tensor(valid))
    assert loss.item() == pytest.approx(expected)
    loss.backward()
    assert selection.grad is not None and not selection.grad[~torch.tensor(valid)].any()


def test_coarseness_pulls_a_softmax_to_the_finest_scale():
    votes = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    valid = torch.ones(2, dtype=torch.bool)
    assert torch.autograd.gradcheck(lambda logits: coarseness(logits.softmax(dim=-1), valid), (votes,))
    coarseness(votes.softmax(dim=-1), valid).backward()
    assert votes.grad is not None and (votes.grad[:, 0] > 0).all() and (votes.grad[:, 2] < 0).all()


# Feature loss.


def test_feature_loss_by_hand():
    rendered = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0], [5.0, 5.0]])
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [torch.nan, 0.0]])
    valid = torch.tensor([True, True, True, False])
    # Per ray: 1 - 1, 1 - sqrt(1/2), 1 + 1; the last is not valid.
    assert feature_loss(rendered, target, valid).item() == pytest.approx((0 + 1 - 0.5**0.5 + 2) / 3)


@pytest.mark.parametrize("loss", [feature_loss, distillation_loss])
def test_losses_without_valid_rays_are_zero_with_zero_gradient(loss):
    rendered = torch.ones(3, 2, requires_grad=True)
    value = loss(rendered, torch.full((3, 2), torch.nan), torch.zeros(3, dtype=torch.bool))
    value.backward()
    assert value.item() == 0.0
    assert rendered.grad is not None and torch.equal(rendered.grad, torch.zeros(3, 2))
    rendered = torch.full((3, 2), torch.nan, requires_grad=True)
    loss(rendered, torch.ones(3, 2), torch.zeros(3, dtype=torch.bool)).backward()
    assert rendered.grad is not None and torch.equal(rendered.grad, torch.zeros(3, 2))


def test_feature_loss_gives_a_target_that_is_not_valid_zero_gradient():
    target = torch.tensor([[1.0, 2.0], [torch.nan, 0.0]], requires_grad=True)
    feature_loss(torch.ones(2, 2), target, torch.tensor([True, False])).backward()
    assert target.grad is not None and target.grad[0].abs().min() > 0 and (target.grad[1] == 0).all()


def test_losses_of_no_rays_are_zero():
    nothing, none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.bool)
    assert feature_loss(nothing, nothing, none).item() == 0.0
    assert rda_loss(nothing, nothing, none, 0.1, 0.1).item() == 0.0


def test_feature_loss_gradcheck_on_both_sides(generator):
    rendered, target = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64).requires_grad_().unbind(0)
    valid = torch.tensor([True, False, True, True, False])
    assert torch.autograd.gradcheck(lambda a, b: feature_loss(a, b, valid), (rendered, target))


def test_distillation_gives_the_teacher_no_gradient(generator):
    rendered = torch.randn(3, 4, generator=generator, requires_grad=True)
    teacher = torch.randn(3, 4, generator=generator, requires_grad=True)
    value = distillation_loss(rendered, teacher, EVERY.expand(3))
    value.backward()
    assert teacher.grad is None and rendered.grad is not None and rendered.grad.abs().max() > 0
    torch.testing.assert_close(value, feature_loss(rendered, teacher, EVERY.expand(3)))


# Jensen-Shannon divergence.


def test_js_of_equal_distributions_is_zero_and_it_is_symmetric(generator):
    log_p, log_q = (random_log_probs(10, 5, generator=generator) for _ in range(2))
    torch.testing.assert_close(js_divergence(log_p, log_p), torch.zeros(10, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(js_divergence(log_p, log_q), js_divergence(log_q, log_p))
    assert (js_divergence(log_p, log_q) > 0).all() and (js_divergence(log_p, log_q) < LN2).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_js_of_disjoint_one_hots_is_ln_2_with_finite_gradient(dtype):
    log_p = torch.eye(3, dtype=dtype)[:2].log().requires_grad_()
    value = js_divergence(log_p[:1], log_p[1:])
    value.sum().backward()
    assert value.item() == pytest.approx(LN2, abs=1e-6)
    assert log_p.grad is not None and log_p.grad.isfinite().all()


def test_js_by_hand():
    # P = (1, 0), Q = (1/2, 1/2), M = (3/4, 1/4).
    expected = 0.5 * math.log(4 / 3) + 0.5 * (0.5 * math.log(2 / 3) + 0.5 * math.log(2))
    assert js_divergence(torch.tensor([1.0, 0.0]).log(), torch.tensor([0.5, 0.5]).log()).item() == pytest.approx(
        expected
    )


def test_js_equals_the_textbook_form_and_does_not_know_class_order(generator):
    log_p, log_q = (random_log_probs(4, 3, 6, generator=generator) for _ in range(2))
    result, order = js_divergence(log_p, log_q), torch.randperm(6, generator=generator)
    for i in range(4):
        for j in range(3):
            assert result[i, j].item() == pytest.approx(slow_js(log_p[i, j], log_q[i, j]))
    torch.testing.assert_close(js_divergence(log_p[..., order], log_q[..., order]), result)


def test_js_gradcheck(generator):
    log_p, log_q = (random_log_probs(3, 4, generator=generator).requires_grad_() for _ in range(2))
    assert torch.autograd.gradcheck(js_divergence, (log_p, log_q))


# RDA.


def test_rda_of_equal_relevancy_is_zero_with_zero_gradient(generator):
    rendered = torch.rand(6, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    value = rda_loss(rendered, rendered.detach(), EVERY.expand(6), 0.3, 0.3)
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-12)
    assert rendered.grad is not None and rendered.grad.abs().max() < 1e-12


def test_rda_equals_a_loop_over_rays_and_does_not_know_class_order(generator):
    rendered, selected = torch.rand(2, 9, 4, generator=generator, dtype=torch.float64)
    valid = torch.rand(9, generator=generator) > 0.4
    losses = [
        slow_js((rendered[ray] / 0.1).log_softmax(0), (selected[ray] / 0.5).log_softmax(0))
        for ray in range(9)
        if valid[ray]
    ]
    assert 1 < len(losses) < 9
    order = torch.tensor([2, 0, 3, 1])
    expected = pytest.approx(sum(losses) / len(losses))
    assert rda_loss(rendered, selected, valid, 0.1, 0.5).item() == expected
    assert rda_loss(rendered[:, order], selected[:, order], valid, 0.1, 0.5).item() == expected


def test_rda_gradcheck_and_rows_that_are_not_valid_stay_out(generator):
    rendered, selected = torch.rand(2, 4, 3, generator=generator, dtype=torch.float64)
    rendered[1], selected[2] = torch.nan, torch.inf
    valid = torch.tensor([True, False, False, True])
    value = rda_loss(rendered.requires_grad_(), selected.requires_grad_(), valid, 0.2, 1.0)
    value.backward()
    for side in (rendered, selected):
        assert side.grad is not None and side.grad.isfinite().all() and (side.grad[~valid] == 0).all()
        assert (side.grad[valid].abs() > 0).all()
    kept = (rendered.detach()[valid].requires_grad_(), selected.detach()[valid].requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b: rda_loss(a, b, EVERY.expand(2), 0.2, 1.0), kept)


def test_rda_of_saturated_relevancy_is_ln_2():
    rendered, selected = torch.tensor([[1e4, 0.0]], requires_grad=True), torch.tensor([[0.0, 1e4]])
    value = rda_loss(rendered, selected, EVERY, 1.0, 1.0)
    value.backward()
    assert value.item() == pytest.approx(LN2)
    assert rendered.grad is not None and rendered.grad.isfinite().all()


def test_losses_are_float32_under_autocast(generator):
    rendered, selected = torch.randn(2, 16, 8, generator=generator)
    valid = EVERY.expand(16)
    log_probs, dino = random_log_probs(2, 8, 8, generator=generator).float(), torch.randn(2, 8, 6, generator=generator)

    def values() -> list[Tensor]:
        return [
            feature_loss(rendered, selected, valid),
            rda_loss(rendered, selected, valid, 0.2, 0.2),
            js_divergence(log_probs[0], log_probs[1]).sum(),
            *fda_loss(log_probs, dino, 0.1, EVERY.expand(2, 8)),
        ]

    plain = values()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = values()
    for first, second in zip(plain, under_autocast, strict=True):
        assert second.dtype == torch.float32 and torch.equal(first, second)
