"""What a scene shows from a camera, and what the data knows of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from PIL import Image
from torch import Tensor

from ovs3d.data.distances import sensor_distance
from ovs3d.data.labels import load_label_map


@dataclass(frozen=True)
class Segmentation:
    """What the field shows from one camera."""

    labels: Int[Tensor, "h w"]
    """Index of the best class."""
    scores: Float[Tensor, "h w classes"] | None
    """Relevancy of every class, a cosine in [-1, 1]; None where it was not asked for."""
    rgb: Float[Tensor, "h w 3"]
    """Rendered colour in [0, 1]."""
    depth: Float[Tensor, "h w"]
    """Distance along the ray, in scene units."""
    classes: tuple[str, ...]


@dataclass(frozen=True)
class View:
    """A photograph of the data with its camera."""

    name: str
    camera: Cameras
    photo: Float[Tensor, "h w 3"]
    labels: Int[Tensor, "h w"] | None
    """Exact labels, -1 = ignore, or None where the data has none."""
    distance: Float[Tensor, "h w"] | None = None
    """Distance along the ray in scene units by the data's depth map, 0 = unknown, or None where the data has none."""


def read_views(outputs: DataparserOutputs, classes: tuple[str, ...]) -> Iterator[View]:
    """Photographs of a split one after another, with their labels matched to `classes` and their depth maps."""
    label_paths = outputs.metadata.get("label_paths") or [None] * len(outputs.image_filenames)
    for index, path in enumerate(outputs.image_filenames):
        photo = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255.0
        labels = None
        if label_paths[index] is not None:
            size = (photo.shape[0], photo.shape[1])
            labels = load_label_map(label_paths[index], outputs.metadata["label_names"], classes, size)
        yield View(
            name=Path(path).stem,
            camera=outputs.cameras[index : index + 1],
            photo=torch.from_numpy(photo),
            labels=None if labels is None else torch.from_numpy(labels),
            distance=known_distance(outputs, index),
        )


def known_distance(outputs: DataparserOutputs, view: int) -> Float[Tensor, "h w"] | None:
    """What the depth map of a view says, if the data has one."""
    if "depth_filenames" not in outputs.metadata:
        return None
    camera, path = outputs.cameras[view], outputs.metadata["depth_filenames"][view]
    unit = outputs.metadata["depth_unit_scale_factor"] * outputs.dataparser_scale
    return sensor_distance(Path(path), camera, unit, (int(camera.height), int(camera.width)))
