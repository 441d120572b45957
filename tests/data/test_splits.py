"""Held-out views."""

from dataclasses import replace
from pathlib import Path

import pytest

from ovs3d.data.splits import Protocol, split_views
from ovs3d.data.transforms import read_transforms
from ovs3d.data.views import PosedViews
from ovs3d.errors import UserError
from tests.data.scene_writer import write_transforms

COUNT = 10


@pytest.fixture
def posed(tmp_path: Path) -> PosedViews:
    return read_transforms(write_transforms(tmp_path, COUNT) / "transforms.json")


def listed(posed: PosedViews, *indices: int) -> frozenset[Path]:
    return frozenset(posed.views[i].image for i in indices)


def test_every_eighth_view(posed: PosedViews) -> None:
    assert split_views(posed, [False] * COUNT, "held-out") == ([1, 2, 3, 4, 5, 6, 7, 9], [0, 8])


def test_views_with_masks(posed: PosedViews) -> None:
    masked = [i in (3, 6) for i in range(COUNT)]
    assert split_views(posed, masked, "held-out") == ([0, 1, 2, 4, 5, 7, 8, 9], [3, 6])
    assert split_views(posed, masked, "paper") == (list(range(COUNT)), [3, 6])


def test_lists_win_over_masks(posed: PosedViews) -> None:
    masked = [i in (3, 6) for i in range(COUNT)]
    both = replace(posed, train=listed(posed, 0, 1, 2), held_out=listed(posed, 5))
    assert split_views(both, masked, "held-out") == ([0, 1, 2], [5])
    only_train = replace(posed, train=listed(posed, *range(8)))
    assert split_views(only_train, masked, "held-out") == (list(range(8)), [8, 9])
    only_test = replace(posed, held_out=listed(posed, 9))
    assert split_views(only_test, masked, "held-out") == (list(range(9)), [9])


def test_named_photographs_win_over_lists(posed: PosedViews) -> None:
    both = replace(posed, train=listed(posed, 0, 1, 2), held_out=listed(posed, 5))
    named = ["view_104", "view_101.png"]
    assert split_views(both, [False] * COUNT, "held-out", named) == ([0, 2, 3, 5, 6, 7, 8, 9], [1, 4])
    assert split_views(both, [False] * COUNT, "paper", named) == (list(range(COUNT)), [1, 4])
    with pytest.raises(UserError, match=r"no photograph 'view_99\.png' to hold out"):
        split_views(posed, [False] * COUNT, "held-out", ["view_101", "view_99.png"])


@pytest.mark.parametrize("protocol", ["held-out", "paper"])
def test_split_without_a_held_out_view_is_refused(posed: PosedViews, protocol: Protocol) -> None:
    for lists in ({"held_out": frozenset()}, {"train": listed(posed, *range(COUNT))}):
        with pytest.raises(UserError, match="test_filenames"):
            split_views(replace(posed, **lists), [False] * COUNT, protocol)


def test_held_out_means_held_out(posed: PosedViews) -> None:
    leaking = replace(posed, train=listed(posed, 0, 1), held_out=listed(posed, 1, 2))
    with pytest.raises(UserError, match=r"view_101\.png for training and as held out"):
        split_views(leaking, [False] * COUNT, "held-out")
    with pytest.raises(UserError, match="leaves none of 10 views to train on"):
        split_views(posed, [True] * COUNT, "held-out")
