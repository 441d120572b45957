"""What a scene shows from a camera, and what the data knows of it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from torch import Tensor

from ovs3d.data.distances import known_distance
from ovs3d.data.images import image_size, read_rgb
from ovs3d.data.labels import load_label_map
from ovs3d.data.photo_masks import read_mask


@dataclass(frozen=True)
class Segmentation:
    """What the field shows from one camera."""

    labels: Int[Tensor, "h w"]
    """Index of the best class; -1 where an edited scene shows nothing."""
    scores: Float[Tensor, "h w classes"] | None
    """Relevancy of every class, a cosine in [-1, 1]; None where it was not asked for."""
    rgb: Float[Tensor, "h w 3"]
    """Rendered colour in [0, 1]."""
    depth: Float[Tensor, "h w"]
    """Distance along the ray, in scene units; infinite where an edited scene shows nothing."""
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Photograph:
    """A photograph of the data, unread, with its camera, whose size may be smaller."""

    path: Path
    camera: Cameras

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of the file."""
        width, height = image_size(self.path)
        return height, width


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
    mask: Bool[Tensor, "h w"] | None = None
    """Where the photograph counts, or None for everywhere."""


def read_views(outputs: DataparserOutputs, classes: tuple[str, ...]) -> Iterator[View]:
    """Photographs of a split one after another, with their labels matched to `classes` and their depth maps."""
    label_paths = outputs.metadata.get("label_paths") or [None] * len(outputs.image_filenames)
    names = list(photographs(outputs))
    for index, path in enumerate(outputs.image_filenames):
        photo = read_rgb(Path(path)).astype(np.float32) / 255.0
        labels = None
        if label_paths[index] is not None:
            size = (photo.shape[0], photo.shape[1])
            labels = load_label_map(label_paths[index], outputs.metadata["label_names"], classes, size)
        yield View(
            name=names[index],
            camera=outputs.cameras[index : index + 1],
            photo=torch.from_numpy(photo),
            labels=None if labels is None else torch.from_numpy(labels),
            distance=known_distance(outputs, index, (photo.shape[0], photo.shape[1])),
            mask=None if outputs.mask_filenames is None else read_mask(Path(outputs.mask_filenames[index])),
        )


def photographs(*splits: DataparserOutputs) -> dict[str, Photograph]:
    """The photographs of some splits by their names, see `photograph_names`."""
    found = {
        path: Photograph(path, outputs.cameras[index : index + 1])
        for outputs in splits
        for index, path in enumerate(photograph_paths(outputs))
    }
    return dict(zip(photograph_names(list(found)), found.values(), strict=True))


def photograph_names(paths: Sequence[Path]) -> list[str]:
    """The stems of photographs' names, or, where stems repeat, their paths from the folder that they share, without
    suffix unless that alone tells them apart."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    above = os.path.commonpath([path.parent for path in paths])
    below = [path.relative_to(above) for path in paths]
    short = [path.with_suffix("") for path in below]
    return [path.as_posix() for path in (short if len(set(short)) == len(short) else below)]


def photograph_paths(outputs: DataparserOutputs) -> list[Path]:
    """Files of a split's photographs in their full size."""
    return [Path(path) for path in outputs.metadata.get("full_size_filenames", outputs.image_filenames)]
