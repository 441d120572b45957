"""Volume rendering: closed forms, slow loops, and numbers by hand."""

import pytest
import torch

from ovs3d import rendering


def increasing(rays: int, count: int, seed: int) -> torch.Tensor:
    """Random increasing borders in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rays, count, generator=generator, dtype=torch.float64).sort(dim=-1).values


def random_weights(rays: int, samples: int, seed: int) -> torch.Tensor:
    """Random weights whose sum is below 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(rays, samples, generator=generator, dtype=torch.float64) / samples


def test_contract_halves_the_unit_cube_and_keeps_its_shape() -> None:
    inside = torch.tensor([[0.0, 0.0, 0.0], [0.4, -0.8, 0.2], [1.0, -1.0, 0.3]])
    assert torch.equal(rendering.contract(inside), 0.5 * inside)


def test_contract_outside_follows_equation_10() -> None:
    # By hand: the greatest coordinate of (4, -2, 0) is 4, so the point goes to (2 - 1/4) (1, -1/2, 0), halved.
    outside = rendering.contract(torch.tensor([[4.0, -2.0, 0.0]]))
    torch.testing.assert_close(outside, torch.tensor([[0.875, -0.4375, 0.0]]))


def test_contract_can_be_inverted_and_stays_in_its_cube() -> None:
    generator = torch.Generator().manual_seed(0)
    points = (
        torch.randn(500, 3, generator=generator, dtype=torch.float64) * torch.logspace(-2, 3, 500).double()[:, None]
    )
    contracted = rendering.contract(points)
    assert contracted.abs().max() < 1.0
    doubled = 2.0 * contracted
    reach = doubled.abs().amax(dim=-1, keepdim=True)
    back = torch.where(reach <= 1.0, doubled, doubled / reach / (2.0 - reach))
    torch.testing.assert_close(back, points, rtol=1e-6, atol=1e-9)


def test_spacing_and_distance_are_inverse_and_grow() -> None:
    distances = torch.logspace(-3, 2, 200, dtype=torch.float64)
    spacing = rendering.distance_to_spacing(distances)
    torch.testing.assert_close(rendering.spacing_to_distance(spacing), distances)
    assert (spacing.diff() > 0).all() and 0.0 < spacing[0] and spacing[-1] < 1.0
    middle = rendering.distance_to_spacing(torch.tensor([rendering.NEAR_LINEAR]))
    assert middle.item() == 0.5, "half of the samples fall before the linear part ends"


def test_weights_by_hand() -> None:
    # Optical depths ln 2, 0, ln 4: half is stopped, then nothing, then three quarters of the rest.
    density = torch.tensor([2.0, 0.0, 1.0])
    deltas = torch.tensor([0.5, 7.0, 2.0]) * torch.log(torch.tensor(2.0))
    torch.testing.assert_close(rendering.render_weights(density, deltas), torch.tensor([0.5, 0.0, 0.375]))


def test_weights_equal_the_loop_and_sum_to_the_opacity() -> None:
    generator = torch.Generator().manual_seed(1)
    density = 5.0 * torch.rand(20, 12, generator=generator, dtype=torch.float64)
    deltas = torch.rand(20, 12, generator=generator, dtype=torch.float64)
    expected = torch.zeros_like(density)
    for ray in range(20):
        light = 1.0
        for sample in range(12):
            stopped = 1.0 - torch.exp(-density[ray, sample] * deltas[ray, sample])
            expected[ray, sample] = light * stopped
            light = light * (1.0 - stopped)
    weights = rendering.render_weights(density, deltas)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(weights.sum(dim=-1), 1.0 - torch.exp(-(density * deltas).sum(dim=-1)))


def test_dense_matter_stops_the_ray_without_overflow() -> None:
    weights = rendering.render_weights(torch.tensor([0.0, 1e6, 1e6]), torch.ones(3))
    assert torch.equal(weights, torch.tensor([0.0, 1.0, 0.0]))


def test_composite_is_the_weighted_sum() -> None:
    weights, values = random_weights(7, 5, 2), torch.randn(7, 5, 3, dtype=torch.float64)
    expected = torch.stack([sum(weights[r, s] * values[r, s] for s in range(5)) for r in range(7)])  # pyright: ignore
    torch.testing.assert_close(rendering.composite(weights, values), expected)


def slow_sample_pdf(edges: list[float], weights: list[float], places: list[float]) -> list[float]:
    """Inverts the cumulative distribution by walking over its bins."""
    total, found = sum(weights), []
    for place in places:
        left = place * total
        for index, weight in enumerate(weights):
            if left <= weight:
                found.append(edges[index] + (edges[index + 1] - edges[index]) * left / weight)
                break
            left -= weight
    return found


@pytest.mark.parametrize("shifted", [False, True])
def test_sample_pdf_equals_the_walk(shifted: bool) -> None:
    edges, weights, count = increasing(9, 11, 3), random_weights(9, 10, 3), 16
    jitter = torch.rand(9, 1, dtype=torch.float64) if shifted else None
    drawn = rendering.sample_pdf(edges, weights, count, jitter, padding=0.02)
    for ray in range(9):
        shift = 0.5 if jitter is None else jitter[ray].item()
        places = [(i + shift) / (count + 1) for i in range(count + 1)]
        expected = slow_sample_pdf(edges[ray].tolist(), (weights[ray] + 0.02).tolist(), places)
        torch.testing.assert_close(drawn[ray], torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=1e-7)


def test_sample_pdf_gathers_where_the_weight_is() -> None:
    edges = torch.linspace(0.0, 1.0, 11)[None]
    weights = torch.zeros(1, 10)
    weights[0, 3] = 1.0
    drawn = rendering.sample_pdf(edges, weights, 40, None, padding=0.01)
    assert (drawn.diff() > 0).all() and drawn.min() >= 0.0 and drawn.max() <= 1.0
    inside = ((drawn >= 0.3) & (drawn <= 0.4)).float().mean().item()
    assert inside == pytest.approx(1.01 / 1.1, abs=0.05)


def test_sample_pdf_of_no_weight_at_all_is_uniform() -> None:
    drawn = rendering.sample_pdf(torch.linspace(0.0, 1.0, 5)[None], torch.zeros(1, 4), 7, None)
    torch.testing.assert_close(drawn[0], (torch.arange(8) + 0.5) / 8)


def slow_interlevel(edges, weights, proposal_edges, proposal_weights) -> float:
    """Equation 13: bins of the proposal that overlap an interval bound its weight."""
    total = 0.0
    for ray in range(len(edges)):
        for i in range(weights.shape[1]):
            low, high = edges[ray, i], edges[ray, i + 1]
            bound = sum(
                float(proposal_weights[ray, j])
                for j in range(proposal_weights.shape[1])
                if proposal_edges[ray, j] < high and proposal_edges[ray, j + 1] > low
            )
            total += max(float(weights[ray, i]) - bound, 0.0) ** 2 / (float(weights[ray, i]) + 1e-5)
    return total / len(edges)


def test_interlevel_equals_the_loop() -> None:
    edges, proposal_edges = increasing(8, 9, 4), increasing(8, 6, 5)
    # Both cover [0, 1], as they do in the model, where the field's samples lie inside the proposal's.
    proposal_edges[:, 0], proposal_edges[:, -1] = 0.0, 1.0
    weights, proposal = random_weights(8, 8, 6), 0.3 * random_weights(8, 5, 7)
    expected = slow_interlevel(edges, weights, proposal_edges, proposal)
    assert expected > 0.0
    assert rendering.interlevel_loss(edges, weights, proposal_edges, proposal).item() == pytest.approx(expected)


def test_interlevel_is_zero_where_the_bound_holds_and_never_moves_the_field() -> None:
    proposal_edges = torch.linspace(0.0, 1.0, 5)[None]
    edges = torch.tensor([[0.3, 0.4, 0.6, 0.7]])
    weights = torch.tensor([[0.2, 0.3, 0.1]], requires_grad=True)
    proposal = torch.tensor([[0.0, 0.35, 0.3, 0.0]])
    assert rendering.interlevel_loss(edges, weights, proposal_edges, proposal).item() == 0.0
    tight = (0.1 * proposal).requires_grad_()
    loss = rendering.interlevel_loss(edges, weights, proposal_edges, tight)
    loss.backward()
    assert loss.item() > 0.0
    assert weights.grad is None and tight.grad is not None and (tight.grad[0, 1:3] < 0).all()


def test_distortion_equals_the_double_sum() -> None:
    edges, weights = increasing(6, 9, 8), random_weights(6, 8, 9)
    total = 0.0
    for ray in range(6):
        middle = 0.5 * (edges[ray, 1:] + edges[ray, :-1])
        for i in range(8):
            for j in range(8):
                total += float(weights[ray, i] * weights[ray, j] * (middle[i] - middle[j]).abs())
            total += float(weights[ray, i] ** 2 * (edges[ray, i + 1] - edges[ray, i])) / 3.0
    assert rendering.distortion_loss(edges, weights).item() == pytest.approx(total / 6)


def test_heaviest_samples_are_in_order_and_keep_the_opacity() -> None:
    weights = torch.tensor([[0.05, 0.4, 0.0, 0.1, 0.2], [0.0, 0.0, 0.0, 0.0, 0.0]])
    kept, indices = rendering.heaviest_samples(weights, 3)
    assert indices[0].tolist() == [1, 3, 4]
    torch.testing.assert_close(kept.sum(dim=-1), weights.sum(dim=-1))
    torch.testing.assert_close(kept[0], torch.tensor([0.4, 0.1, 0.2]) * 0.75 / 0.7)
    assert kept.isfinite().all(), "an empty ray stays empty"


def test_heaviest_samples_of_more_than_there_are_is_all_of_them() -> None:
    weights = random_weights(4, 5, 10)
    kept, indices = rendering.heaviest_samples(weights, 8)
    torch.testing.assert_close(kept, weights)
    assert indices.tolist() == [[0, 1, 2, 3, 4]] * 4


def test_median_depth_by_hand() -> None:
    weights = torch.tensor(
        [[0.3, 0.25, 0.2, 0.25], [0.45, 0.1, 0.2, 0.25], [0.0, 0.0, 0.01, 0.2], [0.3, 0.0, 0.0, 0.4]]
    )
    distances = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(4, 4)
    assert rendering.median_depth(weights, distances).tolist() == [2.0, 2.0, 4.0, 4.0]


def test_distance_loss_by_hand() -> None:
    # Middles at 0.5, 1.5, 2.5; half an interval and 10 % of the distance 2 reach from 1.3 to 2.7: weight 0.2 is before.
    borders, weights = torch.tensor([[0.0, 1.0, 2.0, 3.0]]), torch.tensor([[0.2, 0.3, 0.4]])
    loss = rendering.distance_loss(borders, weights, torch.tensor([2.0]), tolerance=0.1)
    assert loss.item() == pytest.approx(0.2 + 1.0 - 0.7)
    beyond = rendering.distance_loss(borders, weights, torch.tensor([9.0]), tolerance=0.1)
    assert beyond.item() == pytest.approx(0.9 + 1.0)


def test_distance_loss_is_zero_where_nothing_is_known_or_all_is_right() -> None:
    borders = torch.linspace(0.0, 4.0, 9, dtype=torch.float64).expand(2, -1)
    weights = random_weights(2, 8, 3).requires_grad_()
    loss = rendering.distance_loss(borders, weights, torch.zeros(2, dtype=torch.float64))
    loss.backward()
    assert loss.item() == 0.0 and weights.grad is not None and not weights.grad.any()
    exact = torch.zeros(2, 8, dtype=torch.float64)
    exact[:, 5] = 1.0
    assert rendering.distance_loss(borders, exact, torch.full((2,), 2.75, dtype=torch.float64)).item() == 0.0


def test_distance_loss_opens_what_lies_before() -> None:
    borders = torch.linspace(0.0, 4.0, 9, dtype=torch.float64)[None]
    weights = random_weights(1, 8, 4).requires_grad_()
    rendering.distance_loss(borders, weights, torch.tensor([2.2], dtype=torch.float64)).backward()
    assert weights.grad is not None
    assert weights.grad[0].sign().tolist() == [1.0, 1.0, 1.0, 1.0, -1.0, 0.0, 0.0, 0.0]
