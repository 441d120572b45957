"""Planes: the product of three bilinear look-ups."""

import pytest
import torch

from ovs3d.field.planes import AXES, Planes


def test_constant_planes_give_the_product_of_their_constants() -> None:
    planes = Planes((4, 7), 6, init=0.0)
    with torch.no_grad():
        for grid in planes.grids:
            for plane, value in enumerate((2.0, 3.0, 0.5)):
                grid[plane] = value
    features = planes(2.0 * torch.rand(10, 3) - 1.0)
    assert features.shape == (10, planes.dim) == (10, 12)
    torch.testing.assert_close(features, torch.full((10, 12), 3.0))


def test_entries_start_around_one() -> None:
    planes = Planes((32,), 4, init=0.25)
    assert planes.grids[0].min() >= 0.75 and planes.grids[0].max() <= 1.25
    assert planes.grids[0].mean().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("varied", range(3))
@pytest.mark.parametrize("channel", range(2))
def test_look_up_is_bilinear_in_the_two_coordinates_of_its_plane(varied: int, channel: int) -> None:
    planes = Planes((3,), 2, init=0.0)
    values = torch.arange(9.0).reshape(3, 3) ** 2
    with torch.no_grad():
        planes.grids[0][varied, :, :, channel] = values
    point = torch.tensor([[-0.7, 0.2, 0.9]])
    first, second = (point[0, axis].item() + 1.0 for axis in AXES[varied])  # In cells: 3 entries span [-1, 1].
    column, row = min(int(first), 1), min(int(second), 1)
    right, down = first - column, second - row
    expected = (
        values[row, column] * (1 - right) * (1 - down)
        + values[row, column + 1] * right * (1 - down)
        + values[row + 1, column] * (1 - right) * down
        + values[row + 1, column + 1] * right * down
    )
    features = planes(point)[0]
    assert features[channel].item() == pytest.approx(expected.item(), rel=1e-5)
    assert features[1 - channel].item() == pytest.approx(1.0)


def test_border_is_repeated_outside() -> None:
    planes = Planes((5,), 2)
    outside, border = torch.tensor([[1.5, -3.0, 0.2]]), torch.tensor([[1.0, -1.0, 0.2]])
    torch.testing.assert_close(planes(outside), planes(border))


def test_every_plane_gets_gradient() -> None:
    planes = Planes((4,), 2)
    planes(2.0 * torch.rand(200, 3) - 1.0).sum().backward()
    gradient = planes.grids[0].grad
    assert gradient is not None and (gradient.abs().sum(dim=(1, 2, 3)) > 0).all()


def test_a_side_of_one_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2 entries"):
        Planes((8, 1), 4)
