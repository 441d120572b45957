"""The objectives: what they ask for, by hand; the model's tests show what they move."""

from typing import Any

import pytest
import torch

from ovs3d.model_config import OVS3DModelConfig
from ovs3d.objectives import geometry_losses
from ovs3d.rendering import distance_to_spacing

BORDERS = torch.tensor([[0.5, 1.5, 2.5, 3.5]])
"""Distances between which one ray is cut."""


def outputs_of_a_ray_that_ends_at_two(colour: float) -> dict[str, Any]:
    edges, weights = distance_to_spacing(BORDERS), torch.tensor([[0.0, 1.0, 0.0]])
    return {"rgb": torch.full((1, 3), colour), "levels": (edges, weights, edges, weights)}


@pytest.mark.parametrize(
    ("distance", "loss"),
    [
        (2.0, 0.0),
        (0.0, 0.0),  # Unknown.
        (1.0, 1.0),  # The ray goes on behind.
        (3.2, 2.0),  # It has stopped before, too.
    ],
)
def test_rays_end_where_distances_are_known(distance: float, loss: float) -> None:
    batch = {"image": torch.zeros(1, 3), "distance": torch.tensor([distance])}
    losses = geometry_losses(OVS3DModelConfig(), outputs_of_a_ray_that_ends_at_two(0.5), batch, distance_weight=0.1)
    assert losses["distance"].item() == pytest.approx(0.1 * 2 * loss)  # Of the field and of the proposal.
    assert losses["rgb"].item() == pytest.approx(0.25)
    assert losses["interlevel"].item() == 0.0, "the proposal says the same"


def test_rendered_views_have_the_error_of_colour_alone() -> None:
    photo = torch.zeros(1, 4)  # The host's photographs may have a fourth channel.
    losses = geometry_losses(OVS3DModelConfig(), {"rgb": torch.ones(1, 3)}, {"image": photo}, distance_weight=1.0)
    assert {name: loss.item() for name, loss in losses.items()} == {"rgb": 1.0}
