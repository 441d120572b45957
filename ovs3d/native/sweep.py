"""The plane sweep by the compiled kernel."""

import torch
from jaxtyping import Float
from torch import Tensor

from ovs3d.native.calls import call, pointer


def sweep_scores(
    first: Float[Tensor, "h w"],
    turned: Float[Tensor, "others 3 h w"],
    between: Float[Tensor, "others 3"],
    disparities: Float[Tensor, " planes"],
    intrinsics: Float[Tensor, "others 4"],
    distortion: Float[Tensor, "others 6"],
    grey: Float[Tensor, "others h w"],
    kept: int,
) -> Float[Tensor, "planes h w"]:
    """Mean of the `kept` best patch correlations of a view with others, at every plane.

    Args:
        first: grey photograph of the view.
        turned: its rays in the axes of the other views.
        between: from the other views to it, in their axes.
        disparities: of the planes, 1 / distance.
        intrinsics: fx, fy, cx, cy of the other views in pixels.
        distortion: k1, k2, k3, k4, p1, p2 of the other views.
        grey: photographs of the other views.
        kept: at most as many as there are others.
    """
    out = torch.empty(len(disparities), *first.shape)
    height, width = first.shape
    parts = [each.contiguous() for each in (first, turned, between, disparities, intrinsics, distortion, grey)]
    assert all(part.dtype == torch.float32 for part in parts)
    call("sweep_scores", len(disparities), height, width, len(grey), kept, *map(pointer, parts), pointer(out))
    return out
