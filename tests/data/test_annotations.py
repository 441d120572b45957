"""Annotations of queries in LabelMe's form and in that of LERF-OVS."""

import json
from pathlib import Path

import numpy as np
import pytest

from ovs3d.data.annotations import fill_polygon, read_annotations
from ovs3d.errors import UserError


def labelme(*shapes: tuple[str, str, list]) -> str:
    named = [{"label": label, "shape_type": kind, "points": points} for label, kind, points in shapes]
    return json.dumps({"imageHeight": 20, "imageWidth": 30, "imagePath": "a.jpg", "shapes": named})


def test_labelme_rectangles_and_polygons(tmp_path: Path) -> None:
    shapes = [
        ("red  cup", "rectangle", [[10, 12], [4, 2]]),
        ("bowl", "polygon", [[20, 5], [28, 5], [28, 15]]),
        ("red cup", "rectangle", [[15, 3], [17, 6]]),
    ]
    (tmp_path / "frame_00002.json").write_text(labelme(("bowl", "polygon", [[0, 0], [3, 0], [3, 3]])))
    (tmp_path / "frame_00001.json").write_text(labelme(*shapes))
    first, second = read_annotations(tmp_path)
    assert (first.image, second.image, first.size) == ("frame_00001", "frame_00002", (20, 30))
    assert [query.words for query in first.queries] == ["red cup", "bowl"]
    cup, bowl = first.queries
    assert cup.boxes.tolist() == [[4, 2, 10, 12], [15, 3, 17, 6]]
    expected = np.zeros((20, 30), bool)
    expected[2:13, 4:11] = expected[3:7, 15:18] = True
    np.testing.assert_array_equal(cup.mask, expected)
    assert bowl.boxes.tolist() == [[20, 5, 28, 15]]
    assert bowl.mask[6, 27] and not bowl.mask[14, 21]


def test_lerf_ovs_form_has_boxes_of_its_own(tmp_path: Path) -> None:
    marked = [
        {"category": "cup", "bbox": [2, 3, 9, 8], "segmentation": [[3, 4], [8, 4], [8, 7], [3, 7]]},
        {"category": "cup", "bbox": [[12, 3], [15, 8]], "segmentation": [[12, 3], [15, 3], [15, 8]]},
    ]
    info = {"name": "frame_00041.jpg", "height": 20, "width": 30}
    (tmp_path / "frame_00041.json").write_text(json.dumps({"info": info, "objects": marked}))
    (view,) = read_annotations(tmp_path)
    (cup,) = view.queries
    assert view.size == (20, 30) and cup.boxes.tolist() == [[2, 3, 9, 8], [12, 3, 15, 8]]
    assert cup.mask[4:8, 3:9].all() and not cup.mask[:, :3].any() and cup.mask[3, 12:16].all()


def test_polygon_equals_the_pixels_on_its_inner_sides() -> None:
    points = np.array([[5.0, 2.0], [24.0, 6.0], [15.0, 17.0]])
    y, x = np.mgrid[:20, :30]
    edges = zip(points, np.roll(points, -1, axis=0), strict=True)
    # A triangle in clockwise order, y down: inside is to the right of every side.
    distances = [((b - a)[0] * (y - a[1]) - (b - a)[1] * (x - a[0])) / np.linalg.norm(b - a) for a, b in edges]
    depth = np.min(distances, axis=0)
    found = fill_polygon(points, (20, 30))
    assert found[depth >= 0].all() and not found[depth < -1.0].any()


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "frame_1.json is no LabelMe file"),
        ("[]", "frame_1.json is no LabelMe file"),
        (json.dumps({"shapes": []}), "imageHeight"),
        (labelme(("a", "circle", [[1, 2], [3, 4]])), "circle"),
        (labelme(("a", "polygon", [[1, 2]])), "two finite points"),
        (labelme(), "marks no object"),
    ],
)
def test_files_that_cannot_be_used_are_named(content: str, named: str, tmp_path: Path) -> None:
    (tmp_path / "frame_1.json").write_text(content)
    with pytest.raises(UserError, match=named):
        read_annotations(tmp_path)
