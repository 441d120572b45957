"""Where a query lies: against brute force and by hand."""

import numpy as np
import pytest

from ovs3d.evaluation.localisation import (
    is_localised,
    mask_iou,
    query_mask,
    smooth,
)


def blob(size: tuple[int, int], top: int, left: int, side: int) -> np.ndarray:
    """A map that is 0.9 in one square and 0.1 elsewhere."""
    values = np.full(size, 0.1, dtype=np.float32)
    values[top : top + side, left : left + side] = 0.9
    return values


def test_smoothing_is_the_mean_over_thirty_pixels_mirrored_at_the_border() -> None:
    values = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    padded = np.pad(values.astype(np.float64), 15, mode="reflect")
    found = smooth(values)
    for y, x in [(0, 0), (20, 25), (39, 49), (3, 48)]:
        assert found[y, x] == pytest.approx(padded[y : y + 30, x : x + 30].mean(), abs=1e-9)


def test_a_query_is_localised_where_most_of_it_is() -> None:
    # One very relevant pixel does not outweigh a relevant object of 20 x 20.
    values = blob((60, 80), 10, 40, 20)
    values[55, 3] = 1.0
    assert is_localised(values, np.array([[40.0, 10.0, 59.0, 29.0]]))
    assert not is_localised(values, np.array([[0.0, 50.0, 10.0, 59.0]]))
    assert is_localised(values, np.array([[0.0, 50.0, 10.0, 59.0], [40.0, 10.0, 59.0, 29.0]]))


def test_borders_of_a_box_are_inside() -> None:
    values = np.zeros((61, 61), np.float32)
    values[30, 30] = 1.0
    # The squares of 30 pixels that hold the pixel are those of rows and columns 16 to 45.
    assert is_localised(values, np.array([[45.0, 45.0, 60.0, 60.0]]))
    assert not is_localised(values, np.array([[45.5, 45.5, 60.0, 60.0]]))


def test_mask_equals_the_definition_pixel_by_pixel() -> None:
    values = np.random.default_rng(1).random((37, 45)).astype(np.float32)
    values[8:25, 10:33] += 1.0
    padded = np.pad(values.astype(np.float64), 15, mode="reflect")
    mean = np.array([[padded[y : y + 30, x : x + 30].mean() for x in range(45)] for y in range(37)])
    mixed = (mean + values) / 2
    stretched = (mixed - mixed.min()) / (mixed.max() - mixed.min() + 1e-9)
    cut = np.clip(2 * stretched - 1, 0, 1) > 0.4
    expected = np.zeros_like(cut)
    for y, x in np.ndindex(*cut.shape):
        votes = cut[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4]
        expected[y, x] = votes.sum() > votes.size / 2
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(query_mask(values), expected)


def test_mask_of_a_clear_object_is_the_object_and_that_of_nothing_is_empty() -> None:
    values = blob((90, 120), 20, 30, 40)
    assert mask_iou(query_mask(values), values > 0.5) > 0.85  # The smoothing cuts corners.
    assert not query_mask(np.full((20, 20), 0.3, np.float32)).any()


def test_iou_by_hand() -> None:
    first, second = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    assert mask_iou(first, second) == 0.0
    first[0], second[:, 0] = True, True
    assert mask_iou(first, second) == pytest.approx(1 / 5)
