"""Masks of photographs: one indexed PNG a view, and all of them as COCO annotations."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from PIL import Image
from rich.progress import track
from skimage import measure

from ovs3d.data.images import image_size
from ovs3d.errors import UserError
from ovs3d.evaluation.report import write_json
from ovs3d.files import whole_file
from ovs3d.palette import class_colours
from ovs3d.scene import Scene

CRUMB = 2e-4
"""A connected part of a mask with a smaller share of the picture's pixels is dropped from an annotation."""
NO_LABEL = 255
"""Of the pixels of a mask where an edited scene shows nothing; smaller indices name the classes."""


def write_masks(scene: Scene, outputs: DataparserOutputs, folder: Path) -> None:
    """Writes `<name>.png` for every view of a split, of the photograph's size, and `coco.json`.

    Names are those of `Scene.photographs`; in the JSON they have their suffix and folder. A pixel of a PNG is the index
    of its class in the run's list; in the JSON the id of a category is that index plus one, and every class that a view
    shows is one annotation there, without its crumbs (see `annotate`).

    Raises:
        UserError: the run has no semantics yet, or more classes than 8 bits can tell.
    """
    check_eight_bits(scene.classes)
    above = os.path.commonpath([photograph.path.parent for photograph in scene.photographs.values()])
    images, annotations = [], []
    for index, name in enumerate(track(scene.names(outputs), description="Masks")):
        path = scene.photographs[name].path
        labels = scene.segment(outputs.cameras[index : index + 1], with_scores=False).labels.numpy()
        width, height = image_size(path)
        mask = index_image(labels, len(scene.classes)).resize((width, height), Image.Resampling.NEAREST)
        with whole_file(folder / f"{name}.png") as draft:
            mask.save(draft)
        file_name = path.relative_to(above).as_posix()
        images.append({"id": index + 1, "file_name": file_name, "width": width, "height": height})
        annotations += annotate(np.asarray(mask, np.int64), index + 1)
    for number, annotation in enumerate(annotations, start=1):
        annotation["id"] = number
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(scene.classes)]
    write_json(folder / "coco.json", {"images": images, "annotations": annotations, "categories": categories})


def check_eight_bits(classes: Sequence[str]) -> None:
    """Refuses more classes than the pixels of masks can tell.

    Raises:
        UserError: there are too many.
    """
    if len(classes) > NO_LABEL:
        raise UserError(
            f"The run has {len(classes)} classes, but masks of 8 bits tell at most {NO_LABEL}; leave masks out, or "
            "give the run fewer classes."
        )


def index_image(labels: Int64[np.ndarray, "h w"], classes: int) -> Image.Image:
    """An 8-bit picture of indices, which viewers show in the colours of the classes."""
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(class_colours(classes).tobytes())
    return image


def annotate(labels: Int64[np.ndarray, "h w"], image_id: int) -> list[dict[str, Any]]:
    """COCO annotations of one view, one for each class that it shows: run lengths, area and box in pixels.

    Silhouettes leave crumbs about things, and one of them would stretch a box: parts smaller than `CRUMB` are left out,
    and classes without a larger part.
    """
    from pycocotools import mask as coco

    found = []
    for label in np.unique(labels[labels != NO_LABEL]).tolist():
        shown = without_crumbs(labels == label)
        if not shown.any():
            continue
        runs: Any = coco.encode(np.asfortranarray(shown, dtype=np.uint8))
        found.append(
            {
                "image_id": image_id,
                "category_id": label + 1,
                "segmentation": {"size": runs["size"], "counts": runs["counts"].decode("ascii")},
                "area": int(coco.area(runs)),
                "bbox": coco.toBbox(runs).tolist(),
                "iscrowd": 0,
            }
        )
    return found


def without_crumbs(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The connected parts of a mask that are no crumbs."""
    parts: Any = measure.label(mask, connectivity=2)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # What is not in the mask.
    return (sizes >= max(1.0, CRUMB * mask.size))[parts]


def write_classes(path: Path, classes: Sequence[str]) -> None:
    """Writes what the labels in all exports mean: name and colour of each index."""
    colours = class_colours(len(classes)).tolist()
    rows = [
        {"label": index, "name": name, "colour": colour}
        for index, (name, colour) in enumerate(zip(classes, colours, strict=True))
    ]
    write_json(path, {"classes": rows})
