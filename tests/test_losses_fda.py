"""The FDA loss of ovs3d/losses.py; the other losses are in test_losses.py."""

import math

import pytest
import torch
from torch import Tensor

from ovs3d.losses import fda_loss, sample_pairs
from tests.test_losses import EVERY, LN2, random_log_probs, slow_js


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def slow_fda(log_probs: Tensor, dino: Tensor, shift: float, valid: Tensor, pairs: Tensor) -> tuple[float, float]:
    """The equation as written, pair by pair."""
    sums, counts = [0.0, 0.0], [0, 0]
    for patch in range(len(log_probs)):
        for i, j in pairs[patch].tolist():
            if not (valid[patch, i] and valid[patch, j]):
                continue
            corr = torch.cosine_similarity(dino[patch, i], dino[patch, j], dim=0).item() - shift
            side = 0 if corr > 0 else 1
            sums[side] += corr * slow_js(log_probs[patch, i], log_probs[patch, j])
            counts[side] += corr != 0
    return tuple(total / count if count > 0 else 0.0 for total, count in zip(sums, counts, strict=True))  # pyright: ignore[reportReturnType]


def test_fda_of_equal_distributions_is_zero_whatever_dino_says(generator):
    log_probs = random_log_probs(1, 1, 5, generator=generator).expand(2, 6, 5).float()
    positive, negative = fda_loss(log_probs, torch.randn(2, 6, 8, generator=generator), 0.1, EVERY.expand(2, 6))
    assert positive.item() == pytest.approx(0.0, abs=1e-6)
    assert negative.item() == pytest.approx(0.0, abs=1e-6)


def test_fda_of_alike_tokens_with_two_disjoint_halves_by_hand():
    # Four tokens, one DINO feature: corr = 1 - 0.7 for all 16 pairs; 8 of them cross the halves with JS = ln 2.
    log_probs = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]]).log().requires_grad_()
    positive, negative = fda_loss(log_probs, torch.ones(1, 4, 3), 0.7, EVERY.expand(1, 4))
    (positive + negative).backward()
    assert positive.item() == pytest.approx(0.3 * 8 * LN2 / 16, rel=1e-5)
    assert negative.item() == 0.0
    assert log_probs.grad is not None and log_probs.grad.isfinite().all()


def test_fda_of_opposite_tokens_by_hand():
    # i = j gives corr = 0.3 with JS = 0; the two crossing pairs have corr = -1.7 with JS = ln 2.
    log_probs = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log()
    positive, negative = fda_loss(log_probs, torch.tensor([[[1.0], [-1.0]]]), 0.7, EVERY.expand(1, 2))
    assert positive.item() == 0.0
    assert negative.item() == pytest.approx(-1.7 * LN2)


@pytest.mark.parametrize(("shift", "zero"), [(2.0, 0), (-2.0, 1)])
def test_fda_without_a_positive_or_a_negative_pair_is_zero_there(shift, zero, generator):
    log_probs = random_log_probs(2, 5, 3, generator=generator)
    losses = fda_loss(log_probs, torch.randn(2, 5, 4, generator=generator), shift, EVERY.expand(2, 5))
    assert losses[zero].item() == 0.0
    assert losses[1 - zero].item() != 0.0 and math.isfinite(losses[1 - zero].item())


@pytest.mark.parametrize("n_pairs", [None, 40])
def test_fda_equals_a_loop_over_its_pairs(n_pairs, generator):
    log_probs = random_log_probs(3, 7, 4, generator=generator)
    log_probs[0, 0] = torch.tensor([0.0, 1.0, 0.0, 0.0]).log()
    # Features around a common direction, so that both sides of the shift are filled.
    dino = torch.randn(3, 7, 5, generator=generator, dtype=torch.float64) + 1.0
    valid = torch.rand(3, 7, generator=generator) > 0.2
    pairs = sample_pairs(3, 7, n_pairs, torch.Generator().manual_seed(5))
    expected = slow_fda(log_probs, dino, 0.6, valid, pairs)
    assert expected[0] > 0 > expected[1]
    log_probs[~valid] = torch.nan
    losses = fda_loss(log_probs, dino, 0.6, valid, n_pairs, torch.Generator().manual_seed(5))
    assert [loss.item() for loss in losses] == pytest.approx(list(expected), rel=1e-9)


def test_fda_sub_sampled_comes_close_to_all_pairs(generator):
    log_probs = random_log_probs(4, 30, 5, generator=generator)
    dino, valid = torch.randn(4, 30, 3, generator=generator), EVERY.expand(4, 30)
    every = fda_loss(log_probs, dino, 0.3, valid)
    some = fda_loss(log_probs, dino, 0.3, valid, 20_000, generator)
    assert [loss.item() for loss in some] == pytest.approx([loss.item() for loss in every], rel=0.02)


def test_fda_gradcheck_and_no_gradient_to_dino(generator):
    log_probs = random_log_probs(2, 4, 3, generator=generator).requires_grad_()
    dino = (torch.randn(2, 4, 5, generator=generator, dtype=torch.float64) + 0.5).requires_grad_()
    valid = torch.tensor([[True, True, False, True], [True, True, True, True]])
    assert torch.autograd.gradcheck(lambda p: fda_loss(p, dino, 0.4, valid), (log_probs,))
    sum(fda_loss(log_probs, dino, 0.4, valid)).backward()  # pyright: ignore[reportAttributeAccessIssue]
    assert dino.grad is None
    assert log_probs.grad is not None and (log_probs.grad[0, 2] == 0).all()


def test_fda_with_nothing_valid_is_zero_with_zero_gradient(generator):
    log_probs = torch.full((2, 3, 4), torch.nan, requires_grad=True)
    losses = fda_loss(log_probs, torch.randn(2, 3, 5, generator=generator), 0.7, ~EVERY.expand(2, 3), 10, generator)
    sum(losses).backward()  # pyright: ignore[reportAttributeAccessIssue]
    assert [loss.item() for loss in losses] == [0.0, 0.0]
    assert log_probs.grad is not None and torch.equal(log_probs.grad, torch.zeros(2, 3, 4))


def test_fda_does_not_know_class_order_and_no_patches_are_zero(generator):
    log_probs, order = random_log_probs(2, 5, 4, generator=generator), torch.tensor([3, 1, 0, 2])
    dino, valid = torch.randn(2, 5, 3, generator=generator), EVERY.expand(2, 5)
    torch.testing.assert_close(fda_loss(log_probs[..., order], dino, 0.3, valid), fda_loss(log_probs, dino, 0.3, valid))
    assert [x.item() for x in fda_loss(log_probs[:0], dino[:0], 0.3, valid[:0], 8, generator)] == [0.0, 0.0]
