"""Distances along training rays, of a sensor or found from the photographs, once before the geometry stage."""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataparserOutputs
from nerfstudio.data.utils.data_utils import get_depth_image_from_path
from torch import Tensor

from ovs3d.data.cameras import smaller_size
from ovs3d.data.dataset import OVS3DDataset
from ovs3d.data.splits import spread_evenly
from ovs3d.plane_sweep import PosedViews, sweep

LONG_SIDE = 128
"""Pixels of the photographs that are matched."""
SENSOR_SIDE = 320
"""Pixels of the long side that are kept of a depth map."""
MAX_VIEWS = 150
"""Of a longer capture, views spread evenly are matched, and the others have no distances."""


class ViewDistances:
    """Distances of some training views, looked up by training pixel."""

    def __init__(
        self, dataset: OVS3DDataset, views: Int[Tensor, " views"], distances: Float[Tensor, "views h w"]
    ) -> None:
        """Takes `distances` of `views` in scene units, 0 where unknown, on grids that the photographs cover evenly."""
        cameras = dataset.cameras
        self.row = torch.full((len(dataset),), -1)
        self.row[views] = torch.arange(len(views))
        self.sizes = torch.stack([cameras.height[:, 0], cameras.width[:, 0]], dim=-1).cpu()
        self.distances = distances if len(views) > 0 else torch.zeros(1, 1, 1)

    @classmethod
    def of_sweep(cls, dataset: OVS3DDataset) -> "ViewDistances":
        """What several photographs agree on."""
        perspective = bool((dataset.cameras.camera_type == CameraType.PERSPECTIVE.value).all())
        count = min(len(dataset), MAX_VIEWS) if perspective and len(dataset) > 2 else 0
        matched = torch.tensor(spread_evenly(count, len(dataset)) if count > 0 else [], dtype=torch.long)
        distances = sweep(posed_views(dataset, matched)).cpu() if count > 0 else torch.zeros(0, 1, 1)
        return cls(dataset, matched, distances)

    @classmethod
    def of_sensor(cls, dataset: OVS3DDataset) -> "ViewDistances":
        """What the depth maps of the data say."""
        size = smaller_size(dataset.cameras, 0, SENSOR_SIDE)
        found = [known_distance(dataset.dataparser_outputs, view, size) for view in range(len(dataset))]
        return cls(dataset, torch.arange(len(dataset)), torch.stack([each for each in found if each is not None]))

    @property
    def known(self) -> float:
        """Part of the pixels of the views whose distance is known."""
        return (self.distances > 0.0).float().mean().item()

    def at(self, indices: Int[Tensor, "rays 3"]) -> Float[Tensor, " rays"]:
        """Distances of training pixels (view, row, column) in scene units; 0 where unknown."""
        indices = indices.cpu()
        view, place, size = indices[:, 0], indices[:, 1:], self.sizes[indices[:, 0]]
        cells = place * torch.tensor(self.distances.shape[1:]) // size
        distance = self.distances[self.row[view].clamp(min=0), cells[:, 0], cells[:, 1]]
        return torch.where(self.row[view] >= 0, distance, 0.0)


def known_distance(outputs: DataparserOutputs, view: int, size: tuple[int, int]) -> Float[Tensor, "h w"] | None:
    """`sensor_distance` of a view in scene units, or None where the data has no depth maps."""
    if "depth_filenames" not in outputs.metadata:
        return None
    unit = outputs.metadata["depth_unit_scale_factor"] * outputs.dataparser_scale
    return sensor_distance(Path(outputs.metadata["depth_filenames"][view]), outputs.cameras[view], unit, size)


def sensor_distance(path: Path, camera: Cameras, unit: float, size: tuple[int, int]) -> Float[Tensor, "h w"]:
    """Distances along the rays of a view, from its depth map; 0 where the sensor saw nothing.

    Args:
        path: depth map, 16 or 32 bits or .npy, of depth and not of distance.
        camera: of one photograph, which the depth map covers.
        unit: scene units per unit of the depth map.
        size: rows and columns of the result, picked from the depth map without mixing its values.
    """
    height, width = int(camera.height), int(camera.width)
    depth = get_depth_image_from_path(path, height, width, unit)[..., 0]
    row, column = ((torch.arange(few) + 0.5) * (many / few) for few, many in zip(size, (height, width), strict=True))
    depth = depth[row.long()[:, None], column.long()]
    rays = camera.generate_rays(0, coords=torch.stack(torch.meshgrid(row, column, indexing="ij"), dim=-1))
    distance = depth * rays.metadata["directions_norm"][..., 0].cpu()
    return torch.where(distance.isfinite(), distance, 0.0)


def posed_views(dataset: OVS3DDataset, matched: Int[Tensor, " views"]) -> PosedViews:
    """The chosen photographs in grey and small, all of one size, with their cameras."""
    cameras = dataset.cameras
    widths, heights = cameras.width[matched, 0], cameras.height[matched, 0]
    height, width = smaller_size(cameras, int(matched[0]), LONG_SIDE)
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
