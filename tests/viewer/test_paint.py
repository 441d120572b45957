"""Colours over the rendered picture."""

import pytest
import torch

from ovs3d.palette import class_colours
from ovs3d.viewer.paint import paint_classes, paint_scores, paint_selection

GREY = torch.full((2, 2, 3), 0.5)
COLOURS = torch.from_numpy(class_colours(3)) / 255.0
LABELS = torch.tensor([[0.0, 1.0], [2.0, 1.0]])[..., None]


def test_class_that_is_switched_off_is_the_picture() -> None:
    segmentation = COLOURS[LABELS[..., 0].long()]
    shown = torch.tensor([True, False, True])
    painted = paint_classes(GREY, segmentation, LABELS, shown, opacity=0.25)
    expected = 0.75 * GREY + 0.25 * segmentation
    expected[:, 1] = 0.5
    torch.testing.assert_close(painted, expected)


@pytest.mark.parametrize(("threshold", "painted"), [(0.0, 4), (0.4, 2), (0.5, 1), (0.95, 0)])
def test_scores_are_painted_above_the_threshold(threshold: float, painted: int) -> None:
    scores = torch.tensor([[0.1, 0.9], [0.5, 0.4]])[..., None]
    picture = paint_scores(GREY, scores, threshold, opacity=1.0)
    assert int((picture != GREY).any(dim=-1).sum()) == painted


def test_one_question_is_heat() -> None:
    picture = paint_scores(GREY, torch.tensor([[0.0, 0.3], [0.7, 1.0]])[..., None], 0.0, opacity=1.0)
    red, blue = picture[..., 0], picture[..., 2]
    assert red[1, 1] > 0.4 > blue[1, 1] and blue[0, 1] > red[0, 1]


def test_of_several_questions_the_best_gives_its_colour() -> None:
    scores = torch.tensor([[[0.9, 0.1, 0.8], [0.2, 0.6, 0.1]], [[0.1, 0.1, 0.7], [0.4, 0.2, 0.3]]])
    picture = paint_scores(GREY, scores, 0.5, opacity=1.0)
    torch.testing.assert_close(picture[0, 0], COLOURS[0])
    torch.testing.assert_close(picture[0, 1], COLOURS[1])
    torch.testing.assert_close(picture[1, 0], COLOURS[2])
    torch.testing.assert_close(picture[1, 1], GREY[1, 1])


@pytest.mark.parametrize("scales", [1, 2, 3, 5])
def test_one_scale_alone_has_its_own_colour(scales: int) -> None:
    picture = paint_selection(torch.eye(scales)[None])
    assert picture.shape == (1, scales, 3) and len(picture[0].unique(dim=0)) == scales
    mixed = paint_selection(torch.full((1, 1, scales), 1.0 / scales))
    torch.testing.assert_close(mixed[0, 0], picture[0].mean(dim=0))
