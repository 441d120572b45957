"""HashGrid: trilinear look-ups, dense or hashed."""

from itertools import product

import pytest
import torch

from ovs3d.field.hashgrid import HashGrid, WeightedRows


def test_a_dense_level_gives_back_a_trilinear_function() -> None:
    grid = HashGrid((4,), 2, 10)
    x, y, z = (torch.linspace(-1.0, 1.0, 5)[index] for index in torch.meshgrid(*[torch.arange(5)] * 3, indexing="ij"))

    def function(x: torch.Tensor, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        return torch.stack([1.0 + x - 2.0 * y + 3.0 * z, x * y * z], dim=-1)

    with torch.no_grad():  # The first coordinate runs fastest in the table.
        grid.tables[0].copy_(function(x, y, z).permute(2, 1, 0, 3).reshape(-1, 2))
    points = 2.0 * torch.rand(50, 3) - 1.0
    torch.testing.assert_close(grid(points)[:, 0], function(*points.unbind(-1))[:, 0], rtol=1e-4, atol=1e-4)
    nodes = torch.tensor(list(product([-1.0, -0.5, 0.5], repeat=3)))
    torch.testing.assert_close(grid(nodes), function(*nodes.unbind(-1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("log2_size", [6, 20])
def test_look_ups_follow_the_definition(log2_size: int) -> None:
    side, size = 9, 1 << log2_size
    grid = HashGrid((side,), 3, log2_size).double()
    with torch.no_grad():
        grid.tables[0].normal_()
    for point in (2.0 * torch.rand(5, 3, dtype=torch.float64) - 1.0).unbind(0):
        cell = [int(value) for value in (0.5 * point + 0.5) * side]
        expected = torch.zeros(3, dtype=torch.float64)
        for corner in product((0, 1), repeat=3):
            a, b, c = (low + up for low, up in zip(cell, corner, strict=True))
            hashed = (a ^ b * 2654435761 ^ c * 805459861) % size
            row = a + b * (side + 1) + c * (side + 1) ** 2 if (side + 1) ** 3 <= size else hashed
            weight = 1.0
            for axis, up in enumerate(corner):
                share = float((0.5 * point[axis] + 0.5) * side) - cell[axis]
                weight *= share if up else 1.0 - share
            expected += weight * grid.tables[0][row].detach()
        torch.testing.assert_close(grid(point[None])[0].detach(), expected, rtol=1e-5, atol=1e-5)


def test_tables_are_no_larger_than_needed_or_allowed() -> None:
    grid = HashGrid((3, 100), 2, 8)
    assert [tuple(table.shape) for table in grid.tables] == [(64, 2), (256, 2)]
    assert grid(torch.zeros(7, 3)).shape == (7, grid.dim) == (7, 4)


def test_border_is_repeated_outside() -> None:
    grid = HashGrid((5,), 2, 10)
    outside, border = torch.tensor([[1.5, -3.0, 0.2]]), torch.tensor([[1.0, -1.0, 0.2]])
    torch.testing.assert_close(grid(outside), grid(border))


def test_gradient_reaches_only_the_corners_of_the_cell() -> None:
    grid = HashGrid((4,), 1, 10)
    grid(torch.tensor([[-0.9, -0.9, -0.9]])).sum().backward()
    gradient = grid.tables[0].grad
    assert gradient is not None and int((gradient != 0).sum()) == 8
    assert gradient.sum().item() == pytest.approx(1.0)


def test_weighted_rows_have_the_gradient_of_plain_indexing() -> None:
    generator = torch.Generator().manual_seed(3)
    table = torch.randn(11, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    rows = torch.randint(11, (20, 8), generator=generator)  # More rows than the table has, so that some come twice.
    weights = torch.rand(20, 8, generator=generator, dtype=torch.float64)
    plain = (weights[..., None] * table[rows]).sum(dim=1)
    found = WeightedRows.apply(table, rows, weights)
    torch.testing.assert_close(found, plain)
    toward = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    (expected,) = torch.autograd.grad(plain, table, toward)
    (gradient,) = torch.autograd.grad(found, table, toward)
    torch.testing.assert_close(gradient, expected)
