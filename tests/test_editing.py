"""Parts of a scene on a grid of votes: where they end, what is inside of them, and what nobody saw."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from ovs3d.editing import CELLS, MARGIN, Part, keeper, part_of
from ovs3d.errors import UserError
from ovs3d.opened_run import clear_empty


def empty() -> np.ndarray:
    return np.zeros((CELLS, CELLS, CELLS), np.float32)


def node(x: int, y: int, z: int) -> torch.Tensor:
    """World-space point of a node of the grid in the inner cube, where contraction halves coordinates."""
    return 2.0 * (2.0 * torch.tensor([[x, y, z]]) / (CELLS - 1) - 1.0)


@pytest.fixture(scope="module")
def shell() -> Part:
    """A cube's surface, from x 100 to 120, y 100 to 110, z 100 to 105, on a floor at z 100 that is not of it."""
    seen, found = empty(), empty()
    seen[100, 60:160, 60:160] = 3.0
    solid = np.zeros_like(seen, dtype=bool)
    solid[100:106, 100:111, 100:121] = True
    solid[101:105, 101:110, 101:120] = False
    seen[solid] = 5.0
    found[solid] = 4.0
    found[100] = 0.0
    return part_of(seen, found)


@pytest.mark.parametrize(
    ("place", "belongs"),
    [
        ((100, 105, 103), True),
        ((110, 105, 103), True),
        ((110, 105, 107), True),
        ((110, 105, 99), False),
        ((90, 105, 100), False),
        ((150, 150, 150), False),
        ((110, 105, 130), False),
    ],
    ids=["surface", "inside", "halo above", "below the floor", "floor", "far off", "high above"],
)
def test_places_belong_to_what_was_seen_nearest(place: tuple[int, int, int], belongs: bool, shell: Part) -> None:
    assert shell.contains(node(*place)).item() == belongs


def test_axes_are_not_mixed_up() -> None:
    seen, found = empty(), empty()
    seen[50:54, 100:104, 200:204] = found[50:54, 100:104, 200:204] = 1.0
    part = part_of(seen, found)
    assert part.share.shape == (4 + 2 * MARGIN,) * 3
    x, y, z = 201, 101, 51
    assert part.contains(node(x, y, z)).item() and not part.contains(node(z, y, x)).item()


def test_stray_votes_and_small_pieces_are_outvoted() -> None:
    seen, found = empty(), empty()
    seen[100, 60:160, 60:160] = 1.0
    found[100, 60:80, 60:80] = found[100, 120, 120] = found[100, 140:144, 140:144] = found[100, 60:68, 140:148] = 1.0
    part = part_of(seen, found)
    belongs = {place: part.contains(node(*place)).item() for place in ((70, 70, 100), (144, 64, 100))}
    assert all(belongs.values()), "a thing, and another not much smaller"
    assert not part.contains(node(120, 120, 100)).item() and not part.contains(node(142, 142, 100)).item()


def test_shape_of_the_points_is_kept(shell: Part) -> None:
    points = node(110, 105, 103).expand(4, 5, 3)
    assert shell.contains(points).shape == (4, 5) and shell.contains(points).all()
    assert not shell.contains(torch.full((0, 3), 0.0)).any()


def test_empty_rays_are_marked() -> None:
    ones = torch.ones(1, 2, 1)
    outputs = {"accumulation": torch.tensor([[[0.9], [0.1]]]), "class_id": ones.clone(), "depth": ones.clone(),
               "inverse_lengths": ones.clone()}  # fmt: skip
    clear_empty(outputs)
    assert outputs["class_id"].flatten().tolist() == [1.0, -1.0]
    assert outputs["depth"].flatten().tolist() == [1.0, torch.inf]
    assert outputs["inverse_lengths"].flatten().tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("keep", "without"), [((), ()), ("mug", ()), ((), "mug")])
def test_words_are_lists(keep: Any, without: Any) -> None:
    judge = getattr(keeper, "__wrapped__", keeper)  # A string is a sequence of strings, a stand-in is no scene.
    with pytest.raises(UserError, match="lists of words"):
        judge(cast(Any, SimpleNamespace()), keep, without)
