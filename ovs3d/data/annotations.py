"""Objects that were marked in photographs for free text queries: boxes and polygons in LabelMe's JSON files."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image, ImageDraw

from ovs3d.errors import UserError

Marked = tuple[str, Float64[np.ndarray, "_ 2"], Float64[np.ndarray, "_ 2"]]
"""The words of one object, points that span its box, and its outline."""
UNUSABLE = (OSError, KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True)
class MarkedQuery:
    """All objects of one view that one query means: `boxes` in pixels as x0 y0 x1 y1, borders included."""

    words: str
    boxes: Float64[np.ndarray, "boxes 4"]
    mask: Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class AnnotatedView:
    """One photograph, by its stem, with the queries that are marked in it."""

    image: str
    size: tuple[int, int]
    """(h, w) in pixels."""
    queries: tuple[MarkedQuery, ...]


def read_annotations(folder: Path) -> list[AnnotatedView]:
    """Reads `<image stem>.json` files, sorted by name.

    Two forms are known: LabelMe's (`imageHeight`, `imageWidth`, and `shapes` with `label`, `shape_type` and `points`,
    rectangles or polygons, whose boxes are those of their points) and that of LERF-OVS (`info` with `height` and
    `width`, and `objects` with `category`, `bbox` and `segmentation`). Objects of one name are one query.

    Raises:
        UserError: nothing is marked, or a file has neither form; the message names it.
    """
    views = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8-sig"))
            views.append(_lerf_view(path.stem, content) if "objects" in content else _labelme_view(path.stem, content))
        except UNUSABLE as error:
            raise UserError(f"{path} is no LabelMe file ({error}); write it again or remove it.") from error
    if not any(view.queries for view in views):
        raise UserError(f"{folder} marks no object; put .json files of LabelMe there, named as their images.")
    return views


def _labelme_view(image: str, content: dict[str, Any]) -> AnnotatedView:
    size = (int(content["imageHeight"]), int(content["imageWidth"]))
    objects: list[Marked] = []
    for shape in content["shapes"]:
        points = _points(shape["points"])
        kind = shape.get("shape_type", "polygon")
        if kind == "rectangle":
            x0, y0, x1, y1 = _box(points)
            points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
        elif kind != "polygon":
            raise ValueError(f"a shape of type {kind}, not rectangle or polygon")
        objects.append((shape["label"], points, points))
    return _view(image, size, objects)


def _lerf_view(image: str, content: dict[str, Any]) -> AnnotatedView:
    size = (int(content["info"]["height"]), int(content["info"]["width"]))
    objects = [(each["category"], _points(each["bbox"]), _points(each["segmentation"])) for each in content["objects"]]
    return _view(image, size, objects)


def _points(values: Any) -> Float64[np.ndarray, "points 2"]:
    """Points [points, 2] as x y, of which there may be one flat list."""
    points = np.asarray(values, dtype=np.float64).reshape(-1, 2)
    if len(points) < 2 or not np.isfinite(points).all():
        raise ValueError("a shape without two finite points")
    return points


def _box(points: Float64[np.ndarray, "points 2"]) -> Float64[np.ndarray, " 4"]:
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _view(image: str, size: tuple[int, int], objects: list[Marked]) -> AnnotatedView:
    boxes: dict[str, list[np.ndarray]] = {}
    masks: dict[str, np.ndarray] = {}
    for label, corners, outline in objects:
        words = " ".join(label.split())
        boxes.setdefault(words, []).append(_box(corners))
        masks[words] = masks.get(words, False) | fill_polygon(outline, size)
    return AnnotatedView(
        image, size, tuple(MarkedQuery(words, np.stack(boxes[words]), mask) for words, mask in masks.items())
    )


def fill_polygon(points: Float64[np.ndarray, "points 2"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """The pixels inside a polygon or on its outline; corners are cut to whole pixels, as LangSplat's code does."""
    height, width = size
    picture = Image.new("1", (width, height))
    ImageDraw.Draw(picture).polygon([(int(x), int(y)) for x, y in points], fill=1, outline=1)
    return np.asarray(picture)
