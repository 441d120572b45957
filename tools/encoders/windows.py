"""Square windows and larger crops of the corpus, balanced over classes, with the pictures' usual accidents."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor

from tools.encoders.corpus import HEIGHT, StoredScene
from tools.scenes import ClassInfo

SIDES = (HEIGHT // 5, HEIGHT // 7, HEIGHT // 10)
"""Window sides of 3D-OVS, in pixels of a corpus picture."""
MIN_FILL = 0.5
"""A window belongs to the class that covers at least this share of it."""
ZOOM = (1.0, 2.2)
"""Range of magnification of dense crops: the dense path sees pictures at the sizes of its teacher's levels."""
CELL = 8


@dataclass(frozen=True)
class DenseCrop:
    """A crop resized to the patch grid, with boxes of cells (top, left, side) and the class that fills each."""

    picture: UInt8[ndarray, "h w 3"]
    boxes: list[tuple[int, int, int]]
    classes: list[ClassInfo]


def resize(picture: UInt8[ndarray, "h w 3"], height: int, width: int) -> UInt8[ndarray, "height width 3"]:
    """Cubic when enlarging, area average when shrinking."""
    shrinking = picture.shape[0] > height
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_CUBIC)


def filling_class(label: UInt8[ndarray, "h w"]) -> int:
    """Label that covers at least half of the window, or -1."""
    counts = np.bincount(label.reshape(-1), minlength=256)
    best = int(counts[:255].argmax())
    return best if counts[best] >= MIN_FILL * label.size else -1


def _around(label: UInt8[ndarray, "h w"], wanted: int, side: int, rng: Generator) -> tuple[int, int] | None:
    """Top left corner of a window near a random pixel of the wanted class that fills it, or None after a few tries."""
    pixels = np.flatnonzero(label == wanted)
    height, width = label.shape
    for pixel in rng.choice(pixels, 4):
        shift = rng.integers(-side // 4, side // 4 + 1, 2)
        top = int(np.clip(pixel // width - side // 2 + shift[0], 0, height - side))
        left = int(np.clip(pixel % width - side // 2 + shift[1], 0, width - side))
        if filling_class(label[top : top + side, left : left + side]) == wanted:
            return top, left
    return None


def _jpeg(picture: UInt8[ndarray, "h w 3"], rng: Generator) -> UInt8[ndarray, "h w 3"]:
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(35, 90))])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


def draw_windows(
    scenes: list[StoredScene], count: int, size: int, rng: Generator, per_view: int = 8
) -> tuple[UInt8[ndarray, "count size size 3"], list[ClassInfo]]:
    """Windows at the three scales (sides jittered by 0.8 to 1.6), equally many of each class of a view."""
    pictures, classes = [], []
    while len(pictures) < count:
        scene = scenes[rng.integers(len(scenes))]
        view = np.asarray(scene.views[rng.integers(len(scene.views))])
        rgb, label = view[..., :3], view[..., 3]
        present = np.flatnonzero(np.bincount(label.reshape(-1), minlength=256)[: len(scene.classes)] > 100)
        for wanted in rng.permutation(present)[:per_view]:
            side = round(SIDES[rng.integers(3)] * rng.uniform(0.8, 1.6))
            corner = _around(label, int(wanted), side, rng)
            if corner is None:
                continue
            crop = rgb[corner[0] : corner[0] + side, corner[1] : corner[1] + side]
            crop = _jpeg(crop, rng) if rng.random() < 0.2 else crop
            pictures.append(resize(crop, size, size))
            classes.append(scene.classes[wanted])
    return np.stack(pictures[:count]), classes[:count]


def draw_dense_crops(
    scenes: list[StoredScene], count: int, grid: tuple[int, int], rng: Generator, boxes: int = 8
) -> list[DenseCrop]:
    """Crops resized to `grid` cells of 8 pixels, each with boxes of cells that one class fills."""
    crops = []
    rows, columns = grid
    while len(crops) < count:
        scene = scenes[rng.integers(len(scenes))]
        view = np.asarray(scene.views[rng.integers(len(scene.views))])
        zoom = max(np.exp(rng.uniform(*np.log(ZOOM))), rows * CELL / view.shape[0], columns * CELL / view.shape[1])
        height, width = int(rows * CELL / zoom), int(columns * CELL / zoom)
        top, left = rng.integers(view.shape[0] - height + 1), rng.integers(view.shape[1] - width + 1)
        part = view[top : top + height, left : left + width]
        part = part[:, ::-1] if rng.random() < 0.5 else part
        picture = resize(np.ascontiguousarray(part[..., :3]), rows * CELL, columns * CELL)
        label = cv2.resize(
            np.ascontiguousarray(part[..., 3]), (columns * CELL, rows * CELL), interpolation=cv2.INTER_NEAREST
        )
        present = np.flatnonzero(np.bincount(label.reshape(-1), minlength=256)[: len(scene.classes)] > 3 * CELL**2)
        chosen, classes = [], []
        for wanted in rng.choice(present, boxes) if len(present) > 0 else ():
            side = int(rng.integers(2, min(7, rows, columns) + 1))
            corner = _around(label, int(wanted), side * CELL, rng)
            if corner is None:
                continue
            # The nearest whole cells; the box must still be filled.
            row, column = min(round(corner[0] / CELL), rows - side), min(round(corner[1] / CELL), columns - side)
            inside = label[row * CELL : (row + side) * CELL, column * CELL : (column + side) * CELL]
            if filling_class(inside) == wanted:
                chosen.append((row, column, side))
                classes.append(scene.classes[wanted])
        if len(chosen) > 0:
            crops.append(DenseCrop(picture, chosen, classes))
    return crops


def augment(
    pictures: UInt8[ndarray, "n h w 3"], generator: torch.Generator, mirror: bool = True
) -> Float[Tensor, "n 3 h w"]:
    """To RGB in [0, 1], mirrored half of the time if `mirror`, with other light, white balance, blur and noise.

    The changes are small enough for colours to keep their names.
    """
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255.0)
    n = len(images)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(n, *shape, 1, 1, generator=generator) * (high - low) + low

    if mirror:
        flip = torch.rand(n, generator=generator) < 0.5
        images[flip] = images[flip].flip(-1)
    images = images.clamp_(1e-4).pow(uniform(0.75, 1.3, 1))
    images = images * uniform(0.75, 1.2, 1) * uniform(0.93, 1.07, 3)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * uniform(0.8, 1.2, 1) + mean
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.lerp(images, blurred, uniform(-0.6, 1.0, 1).clamp(0))
    noise = torch.randn(images.shape, generator=generator)
    return (images + noise * uniform(-0.02, 0.04, 1).clamp(0)).clamp_(0, 1)


def box_means(cells: Float[Tensor, "dim gh gw"], boxes: list[tuple[int, int, int]]) -> Float[Tensor, "boxes dim"]:
    """Mean of the cells of each box (top, left, side)."""
    return torch.stack([cells[:, t : t + s, x : x + s].mean((1, 2)) for t, x, s in boxes])


def random_windows(
    views: UInt8[ndarray, "views h w 4"], side: int, count: int, rng: Generator
) -> tuple[Int[ndarray, "windows 3"], Int[ndarray, "windows"]]:
    """Uniformly placed windows (view, top, left) that some class fills, and that class; up to `count` of each view."""
    places, labels = [], []
    for index, view in enumerate(views):
        for _ in range(count):
            top, left = rng.integers(view.shape[0] - side + 1), rng.integers(view.shape[1] - side + 1)
            label = filling_class(view[top : top + side, left : left + side, 3])
            if label >= 0:
                places.append((index, top, left))
                labels.append(label)
    return np.array(places, dtype=np.int64).reshape(-1, 3), np.array(labels, dtype=np.int64)
