"""Look-ups in features on disk by the compiled kernel."""

import ctypes
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ovs3d.native.calls import call, integers, pointer


def look_up(
    opened: Sequence[np.ndarray],
    order: Int[Tensor, " some_rays"],
    views: Int[Tensor, " some_rays"],
    uv: Float[Tensor, "rays 2"],
    normalised: bool,
    features: Float[Tensor, "rays scales dim"],
    valid: Bool[Tensor, "rays scales"],
) -> None:
    """Bilinear look-up over valid cells, renormalised, written to `features` and `valid`.

    Args:
        opened: float16 `[scales, h, w, dim]` of some views.
        order: rays that see one of those views.
        views: which of them, for every ray of `order`.
        uv: (x / W, y / H) in [0, 1] of all rays, contiguous.
        normalised: whether the stored vectors are of unit length (or all zero).
        features: gets unit-length features, zero where no valid cell is within reach.
        valid: gets which ones are valid.
    """
    arrays = [np.ascontiguousarray(each) for each in opened]  # Copies none but those in Fortran's order.
    _, scales, dim = features.shape
    cells = (ctypes.c_void_p * len(arrays))(*(each.__array_interface__["data"][0] for each in arrays))
    rows, columns = (integers([each.shape[axis] for each in arrays]) for axis in (1, 2))
    call("features_look_up", ctypes.c_int64(len(order)), pointer(order), pointer(views), pointer(uv), scales, dim,
         int(normalised), cells, rows, columns, pointer(features), pointer(valid))  # fmt: skip
