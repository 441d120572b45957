import numpy as np
import pytest

from ovs3d.evaluation.figures import MARGIN, RIGHT, TITLE_HEIGHT, WRONG, evaluation_figure, relevancy_to_rgb
from ovs3d.palette import IGNORE_COLOUR, class_colours, draw_legend

COLOURS = class_colours(2)


def panels(label: np.ndarray, prediction: np.ndarray, width: int = 40) -> list[np.ndarray]:
    photo = np.full((*label.shape, 3), 77, dtype=np.uint8)
    error = (label != prediction) & (label >= 0)
    figure = evaluation_figure(photo, label, prediction, error, ["left", "right"], COLOURS, width)
    height = width * label.shape[0] // label.shape[1]
    legend = draw_legend(["left", "right"], COLOURS, figure.shape[1] - 2 * MARGIN)
    assert figure.shape == (TITLE_HEIGHT + height + 2 * MARGIN + len(legend), 4 * (width + MARGIN) + MARGIN, 3)
    assert np.array_equal(figure[-MARGIN - len(legend) : -MARGIN, MARGIN:-MARGIN], legend)
    lefts = [MARGIN + index * (width + MARGIN) for index in range(4)]
    return [figure[TITLE_HEIGHT : TITLE_HEIGHT + height, left : left + width] for left in lefts]


def test_each_panel_shows_its_map_without_blending():
    label, prediction = np.array([[0, 1, -1, 0]]), np.array([[0, 0, 1, 0]])
    photo, painted_label, painted_prediction, error = panels(label, prediction)
    assert (photo == 77).all()
    # Each pixel is ten pixels wide: its middle column is enough.
    middles = [5, 15, 25, 35]
    assert painted_label[0, middles].tolist() == [*COLOURS.tolist(), list(IGNORE_COLOUR), COLOURS[0].tolist()]
    assert painted_prediction[0, middles].tolist() == COLOURS[[0, 0, 1, 0]].tolist()
    assert error[0, middles].tolist() == [list(RIGHT), list(WRONG), list(IGNORE_COLOUR), list(RIGHT)]
    assert len(np.unique(painted_label.reshape(-1, 3), axis=0)) == 3


def test_figure_of_a_view_without_labels():
    label = np.full((4, 4), -1)
    *_, error = panels(label, np.zeros((4, 4), dtype=np.int64))
    assert (error == IGNORE_COLOUR).all()


def test_relevancy_colours_run_from_blue_to_red_and_clamp():
    painted = relevancy_to_rgb(np.array([[0.0, -5.0, 1.0, 9.0, 0.5, np.nan, np.inf]]))
    assert painted.shape == (1, 7, 3)
    assert np.array_equal(painted[0, 0], painted[0, 1]) and np.array_equal(painted[0, 2], painted[0, 3])
    assert painted[0, 0, 2] > painted[0, 0, 0] and painted[0, 2, 0] > painted[0, 2, 2]
    assert painted[0, 4, 1] > 200
    assert (painted[0, 5:] == 0).all()


def test_relevancy_range_is_stretched():
    narrow = relevancy_to_rgb(np.array([[0.2, 0.25, 0.3]]), 0.2, 0.3)
    # Half of the colour table's 256 steps may fall to either side of a rounding.
    assert np.abs(narrow.astype(int) - relevancy_to_rgb(np.array([[0.0, 0.5, 1.0]]))).max() <= 8
    with pytest.raises(ValueError, match="above low"):
        relevancy_to_rgb(np.zeros((1, 1)), 0.5, 0.5)
