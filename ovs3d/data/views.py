"""What every layout on disk is read into: posed views with their intrinsics."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from nerfstudio.cameras.cameras import CameraType

from ovs3d.errors import UserError


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole numbers in pixels of an image of `width` x `height`; pixel centres lie at half-integers.

    `distortion` is nerfstudio's k1 k2 k3 k4 p1 p2 (or the 12 numbers of FISHEYE624); it does not depend on the size.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = (0.0,) * 6

    def resized(self, width: int, height: int) -> "Intrinsics":
        """The same camera for its image resampled to `width` x `height` pixels."""
        x, y = width / self.width, height / self.height
        return replace(self, width=width, height=height, fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y)


@dataclass(frozen=True)
class View:
    """One photograph. `pose` is camera-to-world [4, 4] with columns right, up, backwards, position (OpenGL)."""

    image: Path
    pose: np.ndarray
    intrinsics: Intrinsics
    mask: Path | None = None
    depth: Path | None = None


@dataclass(frozen=True)
class PosedViews:
    """A scene's views sorted by file name, and what its pose file says about all of them.

    `train` and `held_out` are the images that the pose file lists for each split, None where it lists none.
    `applied_transform` [3, 4] and `applied_scale` lead from the original world to the one of the poses, as nerfstudio
    records them.
    """

    source: Path
    views: tuple[View, ...]
    camera_type: CameraType
    train: frozenset[Path] | None = None
    held_out: frozenset[Path] | None = None
    orientation: str | None = None
    applied_transform: np.ndarray | None = None
    applied_scale: float = 1.0
    fisheye_crop_radius: float | None = None


def require_files(paths: Iterable[Path], source: Path, what: str) -> None:
    """Raises UserError that names the first missing file and counts the others."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        rest = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"{source} names the {what} {missing[0]}{rest}, not found on disk; "
            "put the files there or remove their frames."
        )
