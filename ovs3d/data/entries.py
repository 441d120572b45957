"""Entries of pose files, checked: numbers, matrices and poses that can be computed with."""

import math
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float64

from ovs3d.errors import UserError

SHEAR_TOLERANCE = 1e-2
"""Of the products of a pose's axes, whose files may have few digits."""


def finite_number(values: Mapping[str, Any], key: str, place: str) -> float:
    """The finite number under `key`; `place` is what errors name.

    Raises:
        UserError: it is none.
    """
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        raise UserError(f"{place} has {repr(value)[:40]} as '{key}'; give a finite number.")
    return float(value)


def positive_number(values: Mapping[str, Any], key: str, place: str) -> float:
    """The finite number above 0 under `key`.

    Raises:
        UserError: it is none.
    """
    value = finite_number(values, key, place)
    if value <= 0.0:
        raise UserError(f"{place} has {value:g} as '{key}'; give a number above 0.")
    return value


def read_matrix(value: object, place: str) -> Float64[np.ndarray, "4 4"]:
    """A 3x4 or 4x4 list of finite numbers whose first three columns can be inverted.

    Raises:
        UserError: it is none.
    """
    try:
        found = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        found = np.empty(0)
    if found.shape not in ((3, 4), (4, 4)) or not np.isfinite(found).all():
        raise UserError(f"{place} has no matrix of 4x4 finite numbers; give one.")
    if np.linalg.matrix_rank(found[:3, :3]) < 3:
        raise UserError(f"{place} has a matrix that flattens space; give one that can be inverted.")
    return np.concatenate([found[:3], [[0.0, 0.0, 0.0, 1.0]]])


def read_pose(frame: Mapping[str, Any], place: str) -> Float64[np.ndarray, "4 4"]:
    """The camera-to-world `transform_matrix` of a frame; its axes have one length, which need not be 1.

    Raises:
        UserError: it mirrors, shears, or is no matrix.
    """
    found = read_matrix(frame.get("transform_matrix"), f"{place} 'transform_matrix'")
    determinant = np.linalg.det(found[:3, :3])
    axes = found[:3, :3] / np.cbrt(abs(determinant))
    if determinant < 0.0 or not np.allclose(axes.T @ axes, np.eye(3), atol=SHEAR_TOLERANCE):
        raise UserError(f"{place} has a 'transform_matrix' that is not a rotation; give camera-to-world, OpenGL axes.")
    return found


def focal_lengths(values: Mapping[str, Any], size: tuple[int, int], place: str) -> tuple[float, float]:
    """Focal lengths (x, y) in pixels of a picture of (width, height); one that is not given equals the other.

    Raises:
        UserError: neither is given as `fl_x`, `camera_angle_x` or their like, or one is not positive.
    """
    found = {}
    for axis, pixels in zip("xy", size, strict=True):
        if f"fl_{axis}" in values:
            found[axis] = finite_number(values, f"fl_{axis}", place)
        elif f"camera_angle_{axis}" in values:
            found[axis] = 0.5 * pixels / math.tan(0.5 * positive_number(values, f"camera_angle_{axis}", place))
    if not found or not all(0.0 < length < math.inf for length in found.values()):
        raise UserError(f"{place} has no positive focal length; give 'fl_x' in pixels or 'camera_angle_x' in radians.")
    return found.get("x", found.get("y", 0.0)), found.get("y", found.get("x", 0.0))
