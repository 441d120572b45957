"""Masks: what COCO's own reader makes of them equals the labels."""

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from ovs3d.export.masks import NO_LABEL, annotate, index_image
from ovs3d.palette import class_colours


@pytest.fixture
def labels() -> np.ndarray:
    """Three classes of five in patches, not symmetric."""
    labels = np.full((12, 20), 4, np.int64)
    labels[2:7, 3:9], labels[5:11, 15:20], labels[0, 0:2] = 1, 3, 1
    return labels


def test_areas_boxes_and_pixels_are_those_of_the_labels(labels: np.ndarray) -> None:
    annotations = annotate(labels, 7)
    assert [row["category_id"] for row in annotations] == [2, 4, 5] and {row["image_id"] for row in annotations} == {7}
    for row, box in zip(annotations, ([0, 0, 9, 7], [15, 5, 5, 6], [0, 0, 20, 12]), strict=True):
        inside = labels == row["category_id"] - 1
        assert np.array_equal(coco.decode(row["segmentation"]), inside)
        assert row["area"] == inside.sum() and row["bbox"] == box


def test_crumbs_do_not_stretch_boxes() -> None:
    labels = np.zeros((300, 400), np.int64)  # Of which 24 pixels are the least part.
    labels[100:200, 50:150], labels[20:24, 300:306], labels[280, 370:393] = 1, 1, 1  # Near, far, and a crumb.
    labels[290, 5:28] = 2
    background, things = annotate(labels, 1)
    assert (background["category_id"], things["category_id"]) == (1, 2), "class 2 is a crumb alone"
    assert things["bbox"] == [50, 20, 256, 180] and things["area"] == 10_024
    assert coco.decode(things["segmentation"])[280, 370] == 0


def test_picture_holds_the_indices_and_shows_the_colours_of_the_classes(labels: np.ndarray) -> None:
    image = index_image(labels, 5)
    assert image.mode == "P" and np.array_equal(np.asarray(image), labels)
    assert np.array_equal(np.asarray(image.convert("RGB")), class_colours(5)[labels])
    assert isinstance(image, Image.Image)


def test_nothing_is_no_category(labels: np.ndarray) -> None:
    labels[labels == 4] = -1
    mask = np.asarray(index_image(labels, 5), np.int64)
    assert set(mask[labels == -1]) == {NO_LABEL}
    assert [row["category_id"] for row in annotate(mask, 1)] == [2, 4]
