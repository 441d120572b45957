"""A sequence of views' features on disk, opened as memory maps and looked up at points of the images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ovs3d.errors import UserError
from ovs3d.teachers.base import FeatureMeta, unit_or_zero

MAX_OPEN_VIEWS = 256
"""Memory maps kept open at a time; each holds one of the process's file descriptors (often limited to 1024)."""


class FeatureStore:
    """Features of a sequence of views, on disk; only what is looked up is read."""

    def __init__(self, meta: FeatureMeta, paths: Sequence[Path]) -> None:
        """Takes one feature file per view, float16 `[scales, h, w, dim]` each; grids may differ between views."""
        self.meta = meta
        self.paths = tuple(paths)
        self._open: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        """Number of views."""
        return len(self.paths)

    def view(self, index: int) -> np.ndarray:
        """Features of a view as a read-only float16 memory map `[scales, h, w, dim]`."""
        if index not in self._open:
            if len(self._open) >= MAX_OPEN_VIEWS:
                self._open.pop(next(iter(self._open)))
            self._open[index] = read_view(self.paths[index], self.meta)
        return self._open[index]

    def cells(self, index: int) -> tuple[Float[Tensor, "cells scales dim"], Bool[Tensor, "cells scales"]]:
        """All cells of one view, row by row: unit-length float32 features (zero if invalid) and which are valid."""
        stored = np.array(self.view(index))  # A copy: torch refuses memory that it may not write.
        features = unit_or_zero(torch.from_numpy(stored).flatten(1, 2).transpose(0, 1))
        return features, features.any(dim=-1)

    def lookup(
        self, views: Int[Tensor, "rays"], uv: Float[Tensor, "rays 2"]
    ) -> tuple[Float[Tensor, "rays scales dim"], Bool[Tensor, "rays scales"]]:
        """Bilinear look-up over valid cells, renormalised.

        Args:
            views: view index of every ray.
            uv: (x / W, y / H) in [0, 1], on any device; the result is returned there.

        Returns:
            Unit-length float32 features, zero where no valid cell is within reach, and whether they are valid.
        """
        order = views.cpu().argsort(stable=True)
        points = uv.detach().float().cpu()[order]
        found, counts = views.cpu()[order].unique_consecutive(return_counts=True)
        features = torch.empty(len(order), len(self.meta.levels), self.meta.dim)
        start = 0
        for index, count in zip(found.tolist(), counts.tolist(), strict=True):
            rays = slice(start, start + count)
            features[order[rays]] = self._interpolate(self.view(index), points[rays])
            start += count
        norm = features.norm(dim=-1, keepdim=True)
        valid = norm > 0
        features = features.div_(norm).masked_fill_(~valid, 0.0)
        return features.to(uv.device), valid[..., 0].to(uv.device)

    def _interpolate(self, view: np.ndarray, uv: Float[Tensor, "rays 2"]) -> Float[Tensor, "rays scales dim"]:
        """Weighted sum of the four cells around each point; it has the direction of the mean over valid ones alone.

        An invalid cell is a zero vector and adds nothing, and the caller's renormalisation does away with the
        weight that is then missing.
        """
        scales, height, width, dim = view.shape
        corners, weights = bilinear_cells(uv, height, width)
        gathered = np.take(view.reshape(scales, height * width, dim), corners.flatten().numpy(), axis=1)
        cells = torch.from_numpy(gathered).float().view(scales, len(uv), 4, dim)
        if not self.meta.normalised:
            cells = unit_or_zero(cells)
        mixed = torch.matmul(weights[:, None], cells)
        if not mixed.sum().isfinite():
            # Files of other programs may hold NaN, which even a weight of zero would spread; they are rare, so that
            # only views that have them pay for their removal.
            mixed = torch.matmul(weights[:, None], unit_or_zero(cells))
        return mixed[:, :, 0].transpose(0, 1)


def bilinear_cells(
    uv: Float[Tensor, "rays 2"], height: int, width: int
) -> tuple[Int[Tensor, "rays 4"], Float[Tensor, "rays 4"]]:
    """Flat indices and weights of the four cells around points in [0, 1]; constant beyond the outermost centres."""
    size = torch.tensor([width, height])
    position = torch.minimum((uv * size - 0.5).clamp(min=0), size - 1.0)
    low = position.long()
    high = torch.minimum(low + 1, size - 1)
    right, down = (position - low).unbind(-1)
    (left_cell, top_cell), (right_cell, bottom_cell) = low.unbind(-1), high.unbind(-1)
    top, bottom = top_cell * width, bottom_cell * width
    cells = torch.stack([top + left_cell, top + right_cell, bottom + left_cell, bottom + right_cell], dim=-1)
    weights = torch.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], dim=-1)
    return cells, weights


def read_view(path: Path, meta: FeatureMeta) -> np.ndarray:
    """Opens one feature file as a memory map and checks its shape and type, without reading its numbers.

    Raises:
        UserError: the file is missing, cut short, or does not hold float16 `[levels, h, w, dim]` of `meta`.
    """
    try:
        view = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read as features ({error}); delete it and extract it again.") from error
    expected = f"float16 [{len(meta.levels)}, h, w, {meta.dim}]"
    if not isinstance(view, np.ndarray) or view.dtype != np.float16 or view.ndim != 4:
        raise UserError(f"{path} must hold {expected}; write it again in that form.")
    if view.shape[0] != len(meta.levels) or view.shape[3] != meta.dim or 0 in view.shape:
        raise UserError(
            f"{path} has the shape {list(view.shape)} but meta.json says {expected}; write one of them anew."
        )
    return view
