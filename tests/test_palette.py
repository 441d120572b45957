import math

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from ovs3d.palette import (
    IGNORE_COLOUR,
    LEGEND_WIDTH,
    ROW_HEIGHT,
    SWATCH,
    class_colours,
    colourise,
    draw_legend,
    load_font,
    overlay,
)


def closest(colours: np.ndarray) -> float:
    """The smallest CIEDE2000 distance of two colours; about 2.3 is just noticeable."""
    lab = rgb2lab(colours[:, None] / 255.0)
    distances = deltaE_ciede2000(lab, lab.transpose(1, 0, 2))
    return distances[~np.eye(len(colours), dtype=bool)].min()


@pytest.mark.parametrize(("n", "distance"), [(10, 25.0), (40, 14.0), (100, 9.0)])
def test_colours_can_be_told_apart_from_each_other_and_from_ignore(n, distance):
    colours = np.concatenate([class_colours(n), np.array([IGNORE_COLOUR, (255, 255, 255)], dtype=np.uint8)])
    assert closest(colours) > distance


def test_colours_do_not_depend_on_how_many_are_asked_for():
    assert np.array_equal(class_colours(7), class_colours(60)[:7])
    assert class_colours(0).shape == (0, 3)
    changed = class_colours(3)
    changed[:] = 0
    assert class_colours(3).max() > 0
    with pytest.raises(ValueError, match="100000"):
        class_colours(100_000)


def test_colourise_by_hand():
    colours = np.array([[10, 20, 30], [40, 50, 60]], dtype=np.uint8)
    painted = colourise(np.array([[1, 0], [-1, 1]]), colours)
    assert painted.tolist() == [[[40, 50, 60], [10, 20, 30]], [list(IGNORE_COLOUR), [40, 50, 60]]]
    assert np.array_equal(colourise(np.array([[1]], dtype=np.uint8), colours), colours[None, 1:])
    for bad in (-2, 2):
        with pytest.raises(ValueError, match=str(bad)):
            colourise(np.array([[bad]]), colours)


def test_overlay_by_hand():
    colours = np.array([[200, 0, 100]], dtype=np.uint8)
    rgb = np.full((1, 2, 3), 100, dtype=np.uint8)
    # 0.75 * 100 + 0.25 * (200, 0, 100) = (125, 75, 100); the second pixel has no class.
    assert overlay(rgb, np.array([[0, -1]]), colours, 0.25).tolist() == [[[125, 75, 100], [100, 100, 100]]]
    assert overlay(rgb, np.array([[0, -1]]), colours, 1.0)[0, 0].tolist() == [200, 0, 100]
    red = np.array([[[200, 0, 0]]], dtype=np.uint8)  # A grey of 0.299 * 200 = 59.8 below.
    assert overlay(red, np.array([[0]]), colours, 0.5).tolist() == [[[130, 30, 80]]]


@pytest.mark.parametrize("count", [1, 2, 13, 100])
@pytest.mark.parametrize("width", [120, 800])
def test_legend_shows_every_colour_as_a_whole_swatch(count, width):
    colours = class_colours(count)
    names = [f"class number {index}" for index in range(count)]
    legend = draw_legend(names, colours, width)
    assert legend.shape[1] == width and legend.shape[0] % ROW_HEIGHT == 0
    for colour in colours:
        assert (legend == colour).all(axis=-1).sum() >= SWATCH**2
    one_column = count * ROW_HEIGHT
    assert legend.shape[0] == one_column if width == 120 else legend.shape[0] <= max(ROW_HEIGHT, one_column // 3)


def test_letters_of_a_wide_legend_grow_with_it():
    names, colours = [f"class number {index}" for index in range(12)], class_colours(12)
    usual, wide = (draw_legend(names, colours, width) for width in (LEGEND_WIDTH, 2 * LEGEND_WIDTH))
    assert wide.shape == (2 * usual.shape[0], 2 * usual.shape[1], 3)
    for colour in colours:
        assert (wide == colour).all(axis=-1).sum() >= (2 * SWATCH) ** 2


def test_legend_of_nothing_is_empty_and_counts_must_agree():
    assert draw_legend([], class_colours(0), 100).shape == (0, 100, 3)
    with pytest.raises(ValueError, match="1 and 2"):
        draw_legend(["a"], class_colours(2), 100)


def test_long_names_stay_inside_the_strip_and_off_their_neighbours():
    legend = draw_legend(["a very long name " * 20, "b\nc\td"], class_colours(2), 300)
    assert legend.shape == (2 * ROW_HEIGHT, 300, 3)
    assert (legend[:, -4:] == 255).all()
    assert (legend[:, :4] == 255).all()
    # The second row's text is short: only the first, shortened one reaches the right half.
    assert (legend[:ROW_HEIGHT, 200:] < 128).any() and (legend[ROW_HEIGHT:, 200:] == 255).all()


def test_one_long_name_leaves_the_others_their_columns():
    names = ["a very long name " * 20, *(f"class {index}" for index in range(30))]
    legend = draw_legend(names, class_colours(31), 1000)
    assert legend.shape[0] == math.ceil(31 / 3) * ROW_HEIGHT


def test_names_beyond_ascii_are_drawn_with_their_own_letters():
    first, second = (draw_legend([name], class_colours(1), 200) for name in ("Жё", "Ωé"))
    assert not np.array_equal(first, second)
    # The box of a missing letter looks the same for all of them.
    font = load_font(16, "éß")
    assert font.getbbox("é") != load_font(16).getbbox("é")
    assert draw_legend(["猫", ""], class_colours(2), 200).shape[1] == 200
