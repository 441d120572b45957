"""A sequence of views' features on disk, opened as memory maps and looked up at points of the images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ovs3d.errors import UserError
from ovs3d.native.features import look_up
from ovs3d.native.library import library
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
        asked, places = views.cpu(), uv.detach().float().cpu().contiguous()
        assert len(asked) == len(places), "every ray has a view and a place"
        order = asked.argsort(stable=True)
        shape = len(order), len(self.meta.levels), self.meta.dim
        features = torch.empty(shape, dtype=torch.float32, device="cpu")
        valid = torch.empty(shape[:2], dtype=torch.bool, device="cpu")
        found, index = asked[order].unique_consecutive(return_inverse=True)
        for first in range(0, len(found), MAX_OPEN_VIEWS):
            opened = [self.view(view) for view in found[first : first + MAX_OPEN_VIEWS].tolist()]
            part = slice(*torch.searchsorted(index, torch.tensor([first, first + len(opened)])).tolist())
            rays, seen = order[part], index[part] - first
            if library() is None:
                features[rays], valid[rays] = self._interpolate(opened, seen, places[rays])
            else:
                look_up(opened, rays, seen, places, self.meta.normalised, features, valid)
            del opened  # Or the next ones would be opened beside them.
        return features.to(uv.device), valid.to(uv.device)

    def _interpolate(
        self, opened: Sequence[np.ndarray], views: Int[Tensor, "rays"], uv: Float[Tensor, "rays 2"]
    ) -> tuple[Float[Tensor, "rays scales dim"], Bool[Tensor, "rays scales"]]:
        """What the kernel computes, in PyTorch; `views` are indices into `opened`, in rising order."""
        sizes = torch.tensor([view.shape[1:3] for view in opened])
        corners, weights = bilinear_cells(uv, sizes[views])
        scales, dim = len(self.meta.levels), self.meta.dim
        stored = np.empty((scales, len(views), 4, dim), np.float16)
        borders = torch.searchsorted(views, torch.arange(len(opened) + 1)).tolist()
        for view, start, stop in zip(opened, borders, borders[1:], strict=False):
            stored[:, start:stop] = view.reshape(scales, -1, dim)[:, corners[start:stop].numpy()]
        features = self._mix(torch.from_numpy(stored), weights).transpose(0, 1)
        norm = features.norm(dim=-1, keepdim=True)
        valid = norm > 0
        return torch.where(valid, features / norm, 0.0), valid[..., 0]

    def _mix(
        self, stored: Float[Tensor, "scales rays 4 dim"], weights: Float[Tensor, "rays 4"]
    ) -> Float[Tensor, "scales rays dim"]:
        """Weighted sum of the four cells around each point; it has the direction of the mean over valid ones alone.

        An invalid cell is a zero vector and adds nothing, and the caller's renormalisation does away with the
        weight that is then missing.
        """
        cells = stored.float()
        if not self.meta.normalised:
            cells = unit_or_zero(cells)
        mixed = torch.matmul(weights[:, None], cells)[:, :, 0]
        if not mixed.sum().isfinite():
            # Files of other programs may hold NaN, which even a weight of zero would spread; they are rare, so that
            # only batches that meet them pay for their removal.
            mixed = torch.matmul(weights[:, None], unit_or_zero(cells))[:, :, 0]
        return mixed


def bilinear_cells(
    uv: Float[Tensor, "rays 2"], sizes: Int[Tensor, "rays 2"]
) -> tuple[Int[Tensor, "rays 4"], Float[Tensor, "rays 4"]]:
    """Flat indices and weights of the four cells around points in [0, 1]; constant beyond the outermost centres.

    Args:
        uv: (x / W, y / H).
        sizes: (rows, columns) of the grid that each point is looked up in.
    """
    size, width = sizes.flip(-1), sizes[:, 1]
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
