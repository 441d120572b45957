"""Distances along training rays, found once from the photographs before the geometry stage."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import CameraType
from torch import Tensor

from ovs3d.data.dataset import OVS3DDataset
from ovs3d.plane_sweep import PosedViews, sweep

LONG_SIDE = 128
"""Pixels of the photographs that are matched."""
MAX_VIEWS = 150
"""Of a longer capture, views spread evenly are matched, and the others have no distances."""


class ViewDistances:
    """Distances of a plane sweep, looked up by training pixel."""

    def __init__(self, dataset: OVS3DDataset) -> None:
        cameras = dataset.cameras
        perspective = bool((cameras.camera_type == CameraType.PERSPECTIVE.value).all())
        count = min(len(dataset), MAX_VIEWS) if perspective and len(dataset) > 2 else 0
        matched = torch.linspace(0, len(dataset) - 1, count).round().long()
        self.row = torch.full((len(dataset),), -1)
        self.row[matched] = torch.arange(count)
        self.sizes = torch.stack([cameras.height[:, 0], cameras.width[:, 0]], dim=-1).cpu()
        self.distances = sweep(posed_views(dataset, matched)).cpu() if count > 0 else torch.zeros(1, 1, 1)

    @property
    def known(self) -> float:
        """Part of the matched pixels whose distance is known."""
        return (self.distances > 0.0).float().mean().item()

    def at(self, indices: Int[Tensor, "rays 3"]) -> Float[Tensor, " rays"]:
        """Distances of training pixels (view, row, column) in scene units; 0 where unknown."""
        indices = indices.cpu()
        view, place, size = indices[:, 0], indices[:, 1:], self.sizes[indices[:, 0]]
        cells = place * torch.tensor(self.distances.shape[1:]) // size
        distance = self.distances[self.row[view].clamp(min=0), cells[:, 0], cells[:, 1]]
        return torch.where(self.row[view] >= 0, distance, 0.0)


def posed_views(dataset: OVS3DDataset, matched: Int[Tensor, " views"]) -> PosedViews:
    """The chosen photographs in grey and small, all of one size, with their cameras."""
    cameras = dataset.cameras
    widths, heights = cameras.width[matched, 0], cameras.height[matched, 0]
    scale = min(1.0, LONG_SIDE / max(int(widths[0]), int(heights[0])))
    width, height = round(int(widths[0]) * scale), round(int(heights[0]) * scale)
    x_scale, y_scale = width / widths, height / heights
    grey, directions = [], []
    row, column = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    for order, view in enumerate(matched.tolist()):
        photo = dataset.get_image_float32(view)[..., :3].mean(dim=-1)
        grey.append(F.interpolate(photo[None, None], size=(height, width), mode="area")[0, 0])
        places = torch.stack([row / y_scale[order], column / x_scale[order]], dim=-1)
        rays = cameras.generate_rays(torch.full((height, width, 1), view), coords=places)
        directions.append(rays.directions)
    fx, fy, cx, cy = (getattr(cameras, name)[matched, 0] for name in ("fx", "fy", "cx", "cy"))
    distortion = cameras.distortion_params
    return PosedViews(
        grey=torch.stack(grey),
        directions=torch.stack(directions),
        poses=cameras.camera_to_worlds[matched],
        intrinsics=torch.stack([fx * x_scale, fy * y_scale, cx * x_scale, cy * y_scale], dim=-1),
        distortion=torch.zeros(len(matched), 6) if distortion is None else distortion[matched],
    )
