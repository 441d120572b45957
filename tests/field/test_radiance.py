"""Radiance field: activations, directions, and the dense proposal grid."""

import math

import pytest
import torch

from ovs3d.field.radiance import ProposalGrid, RadianceField, density_activation, spherical_harmonics
from ovs3d.rendering import contract


def test_density_is_positive_and_its_gradient_bounded() -> None:
    raw = torch.tensor([-30.0, 0.0, 1.0, 60.0], requires_grad=True)
    density = density_activation(raw)
    density.sum().backward()
    assert density[1].item() == pytest.approx(1 / math.e) and density[2].item() == pytest.approx(1.0)
    assert (density > 0).all() and density.isfinite().all()
    assert raw.grad is not None and raw.grad.isfinite().all() and raw.grad.max().item() <= math.exp(15.0) * 1.001


def test_harmonics_are_orthogonal_over_the_sphere() -> None:
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(200_000, 3, generator=generator)
    harmonics = spherical_harmonics(directions / directions.norm(dim=-1, keepdim=True))
    products = harmonics.T @ harmonics / len(harmonics)
    scale = products.diagonal().sqrt()
    cosines = products / scale[:, None] / scale[None, :]
    torch.testing.assert_close(cosines, torch.eye(9), atol=0.02, rtol=0.0)


def test_proposal_grid_holds_density_at_its_cells() -> None:
    grid = ProposalGrid(3)
    with torch.no_grad():
        grid.grid[2, 1, 1] = 4.0  # z is the first spatial axis; contracted z = 1 lies infinitely far.
    far, middle = torch.tensor([[0.0, 0.0, 1e6]]), torch.zeros(1, 3)
    assert grid(far).item() == pytest.approx(math.exp(3.0), rel=1e-3)
    assert grid(middle).item() == pytest.approx(math.exp(-1.0))
    half = torch.tensor([[0.0, 0.0, 1.0]])  # Contracts to z = 0.5, between the two cells.
    assert grid(half).item() == pytest.approx(math.exp(1.0), rel=1e-5)


def test_colour_is_in_range_and_density_agrees_with_and_without_colour() -> None:
    torch.manual_seed(0)
    field = RadianceField((8, 16), 4, (8, 32), 8, 16)
    points = 4.0 * torch.randn(3, 7, 3)
    directions = torch.nn.functional.normalize(torch.randn(3, 3), dim=-1)
    density, features = field.density_and_features(points)
    surfaces = field.surfaces(points, features)
    colour = field.colour(surfaces, directions)
    assert density.shape == (3, 7) and colour.shape == (3, 7, 3)
    assert colour.min() >= 0.0 and colour.max() <= 1.0
    torch.testing.assert_close(field.density(points), density)
    turned = field.colour(surfaces, -directions)
    fine = field.texture(contract(points.reshape(-1, 3))).reshape(3, 7, -1)
    seen = spherical_harmonics(directions)[:, None].expand(-1, 7, -1)
    torch.testing.assert_close(colour, field.colour_network(torch.cat([features, fine, seen], dim=-1)))
    assert not torch.allclose(turned, colour), "colour depends on the direction, density does not"


def test_colour_from_everywhere_is_that_at_the_mean_of_the_directions() -> None:
    torch.manual_seed(0)
    field = RadianceField((8, 16), 4, (8, 32), 8, 16)
    points = 4.0 * torch.randn(3, 7, 3)
    features = field.density_and_features(points)[1]
    directions = torch.nn.functional.normalize(torch.randn(200_000, 3), dim=-1)
    mean = spherical_harmonics(directions).mean(dim=0)
    fine = field.texture(contract(points.reshape(-1, 3)))
    whole = torch.cat([features.reshape(21, -1), fine, mean.expand(21, -1)], dim=-1)
    surfaces = field.surfaces(points, features)
    colours = field.colour_from_everywhere(surfaces)
    torch.testing.assert_close(colours.reshape(21, 3), field.colour_network(whole), atol=1e-3, rtol=0.0)
