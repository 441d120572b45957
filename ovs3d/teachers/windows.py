"""The sliding windows of 3D-OVS (arXiv 2305.14093) and their average on the storage grid.

A box is (top, left, bottom, right) in whole pixels, bottom and right exclusive.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

DIVISORS = (5, 7, 10)
"""Window sides are the short side of the image divided by these, coarse first."""


def window_sides(height: int, width: int, divisors: Sequence[int] = DIVISORS) -> tuple[int, ...]:
    """Window sides in pixels, one per scale, coarse first."""
    return tuple(max(1, min(height, width) // divisor) for divisor in divisors)


def window_stride(side: int, stride_divisor: int = 4) -> int:
    """Distance in pixels between neighbouring windows, before jitter."""
    return max(1, side // stride_divisor)


def sliding_windows(
    height: int, width: int, side: int, stride_divisor: int = 4, seed: int = 0
) -> Int64[Tensor, "windows 4"]:
    """All windows of one scale, row by row; together they cover the image up to its right and lower border.

    Each edge is moved outwards by 0 to side // 4 pixels and clipped to the image. The offsets depend on the arguments
    alone, so that neither batches nor the order of views change a feature (the authors' code draws them unseeded).
    """
    stride = window_stride(side, stride_divisor)
    tops = np.arange(math.ceil((height - side) / stride) + 1) * stride
    lefts = np.arange(math.ceil((width - side) / stride) + 1) * stride
    top, left = (axis.ravel() for axis in np.meshgrid(tops, lefts, indexing="ij"))
    jitter = np.random.default_rng([seed, side]).integers(0, side // 4, size=(4, len(top)), endpoint=True)
    boxes = [
        np.maximum(top - jitter[0], 0),
        np.maximum(left - jitter[1], 0),
        np.minimum(top + side + jitter[2], height),
        np.minimum(left + side + jitter[3], width),
    ]
    return torch.from_numpy(np.stack(boxes, axis=1).astype(np.int64))


def storage_grid(height: int, width: int, spacing: int, max_cells: int = 1000) -> tuple[int, int]:
    """Rows and columns of a grid with cells of about `spacing` pixels and the image's aspect, at most `max_cells`."""
    rows, columns = max(1, round(height / spacing)), max(1, round(width / spacing))
    if rows * columns <= max_cells:
        return rows, columns
    shrink = math.sqrt(max_cells / (height * width))
    # Panoramas would round to no row at all; the longer side then gives way.
    rows, columns = max(1, int(height * shrink)), max(1, int(width * shrink))
    return min(rows, max_cells), min(columns, max(1, max_cells // rows))


def average_windows(
    boxes: Int64[Tensor, "windows 4"],
    embeddings: Float[Tensor, "windows dim"],
    image_size: tuple[int, int],
    grid: tuple[int, int],
) -> Float[Tensor, "gh gw dim"]:
    """Mean of the embeddings of all windows that cover a cell's centre; zero where there is none.

    Equals the authors' per-pixel average read at the pixel of the cell's centre. The embeddings are averaged as they
    come, un-normalised as in the authors' code; the caller normalises the mean.

    Args:
        boxes: windows, in pixels of an image of `image_size`.
        embeddings: one per window.
        image_size: height and width in pixels.
        grid: rows and columns of the result.
    """
    boxes = boxes.to(embeddings.device)
    inside = []
    for axis in (0, 1):
        centre = (torch.arange(grid[axis], device=boxes.device) + 0.5) * (image_size[axis] / grid[axis])
        inside.append((boxes[:, axis] <= centre[:, None]) & (centre[:, None] < boxes[:, axis + 2]))
    covers = (inside[0][:, None] & inside[1][None]).flatten(0, 1).to(embeddings)  # [cells, windows]
    mean = (covers @ embeddings) / covers.sum(1, keepdim=True).clamp(min=1)
    return mean.unflatten(0, grid)
