"""The dataparser `ovs3d-data`: any layout of a scene -> cameras, photographs, words, labels.

This module is imported while nerfstudio's registry of dataparsers is being built, so it must not import datamanagers,
the trainer, or anything that reaches them.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from nerfstudio.cameras.camera_utils import auto_orient_and_center_poses
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.data.dataparsers.base_dataparser import DataParser, DataParserConfig, DataparserOutputs
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from ovs3d.data.classes import Classes, resolve_classes
from ovs3d.data.images import training_views
from ovs3d.data.labels import LabelFiles, find_labels
from ovs3d.data.layouts import read_scene, scene_folder
from ovs3d.data.splits import Protocol, split_views
from ovs3d.data.views import PosedViews, View
from ovs3d.errors import UserError

FARTHEST = 1e12
"""Coordinates of cameras, in the data's units, whose squares single precision still tells apart."""


@dataclass
class OVS3DDataParserConfig(DataParserConfig):
    """A scene of any layout, and the words to segment it by."""

    _target: type = field(default_factory=lambda: OVS3DDataParser)
    data: Path = Path()
    """Folder of the scene (transforms.json, the 3D-OVS layout, or COLMAP), or a .json file of nerfstudio's form."""
    classes: tuple[str, ...] = ()
    """Words to segment by, each "name" or "name: prompt | prompt"; without any, the scene's classes.txt."""
    protocol: Protocol = "held-out"
    """Whether held-out views stay unseen; "paper" trains on all views, as the authors of 3D-OVS do."""
    held_out: tuple[str, ...] = ()
    """File names of the photographs to hold out, with or without suffix; by default as `split_views` says."""
    max_side: int = 1600
    """Longest side of the photographs in training, in pixels; larger ones are trained from smaller copies."""
    orientation_method: Literal["pca", "up", "vertical", "none"] = "up"
    """How the world is turned upright."""
    center_method: Literal["poses", "focus", "none"] = "poses"
    """What is moved to the origin."""
    auto_scale_poses: bool = True
    """Whether the world is scaled so that the cameras fit into [-1, 1]^3."""
    scene_scale: float = 1.0
    """Half the side of the scene box, in units of the scaled world; what lies outside is contracted, not cut."""
    depth_unit_scale_factor: float = 1e-3
    """Metres per unit of the depth maps."""


def require_max_side(config: OVS3DDataParserConfig) -> None:
    """Raises UserError unless photographs keep at least one pixel."""
    if config.max_side < 1:
        raise UserError(f"max_side is {config.max_side}; give the longest side of the photographs in pixels.")


@dataclass(frozen=True)
class _PreparedScene:
    """All views of a scene in the training world, before they are split."""

    posed: PosedViews
    views: tuple[View, ...]
    camera_to_worlds: torch.Tensor
    transform: torch.Tensor
    scale: float
    classes: Classes
    labels: LabelFiles
    train: list[int]
    held_out: list[int]


def split_scene(config: OVS3DDataParserConfig, posed: PosedViews, labels: LabelFiles) -> tuple[list[int], list[int]]:
    """Indices of the training views and of the held-out ones, see `split_views`."""
    masked = [labels.masks and path is not None for path in labels.paths]
    return split_views(posed, masked, config.protocol, config.held_out)


def normalise_poses(posed: PosedViews, config: OVS3DDataParserConfig) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Orients, centres and scales the poses of all views, so that every split gets the same world.

    Returns:
        camera-to-world [views, 3, 4], the transform [3, 4] from the original world, and the scale after it.

    Raises:
        UserError: all cameras are at one point, or the world has no direction to be turned by.
    """
    poses = torch.from_numpy(np.stack([view.pose for view in posed.views]).astype(np.float32))
    if not bool((poses.abs() < FARTHEST).all()):
        raise UserError(f"{posed.source} puts cameras farther away than {FARTHEST:.0e} units; correct its poses.")
    method: Any = posed.orientation or config.orientation_method
    oriented, transform = auto_orient_and_center_poses(poses, method=method, center_method=config.center_method)
    if not (oriented.isfinite().all() and transform.isfinite().all()):
        flag = "orientation_override" if posed.orientation else "--pipeline.datamanager.dataparser.orientation-method"
        raise UserError(
            f"The poses of {posed.source} cannot be turned upright by '{method}', because their directions cancel; "
            f"correct them, or set {flag} to none."
        )
    scale = 1.0
    if config.auto_scale_poses:
        reach = float(oriented[:, :3, 3].abs().max())
        if reach < 1e-9:
            raise UserError(
                f"{posed.source} puts all cameras at one point; depth needs photographs from several points."
            )
        scale = 1.0 / reach
    oriented[:, :3, 3] *= scale
    if posed.applied_transform is not None:
        applied = torch.eye(4)
        applied[:3] = torch.from_numpy(posed.applied_transform.astype(np.float32))
        transform = transform @ applied
    return oriented[:, :3, :4], transform, scale * posed.applied_scale


def _cameras(scene: _PreparedScene, chosen: list[int]) -> Cameras:
    intrinsics = [scene.views[i].intrinsics for i in chosen]
    fisheye = scene.posed.camera_type in (CameraType.FISHEYE, CameraType.FISHEYE624)
    radius = scene.posed.fisheye_crop_radius if fisheye else None

    def column(name: str, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor([getattr(item, name) for item in intrinsics], dtype=dtype)

    return Cameras(
        camera_to_worlds=scene.camera_to_worlds[chosen],
        fx=column("fx", torch.float32),
        fy=column("fy", torch.float32),
        cx=column("cx", torch.float32),
        cy=column("cy", torch.float32),
        width=column("width", torch.int32),
        height=column("height", torch.int32),
        distortion_params=column("distortion", torch.float32),
        camera_type=scene.posed.camera_type,
        metadata={} if radius is None else {"fisheye_crop_radius": radius},
    )


class OVS3DDataParser(DataParser):
    """Gives the training views for the split "train", the held-out views for "val" and "test"."""

    config: OVS3DDataParserConfig  # pyright: ignore[reportIncompatibleVariableOverride]

    @cached_property
    def _scene(self) -> _PreparedScene:
        config = self.config
        require_max_side(config)
        folder = scene_folder(config.data)
        posed = read_scene(config.data)
        labels = find_labels(folder, [view.image for view in posed.views])
        train, held_out = split_scene(config, posed, labels)
        poses, transform, scale = normalise_poses(posed, config)
        classes = resolve_classes(config.classes, folder)
        views = training_views(posed.views, config.max_side)
        return _PreparedScene(posed, views, poses, transform, scale, classes, labels, train, held_out)

    def _generate_dataparser_outputs(self, split: str = "train", **kwargs: Any) -> DataparserOutputs:
        """Outputs of one split.

        `metadata` holds, beside nerfstudio's `depth_filenames` and `depth_unit_scale_factor` where there is depth:
        `classes`, `label_names`, and for each view `label_paths` and `full_size_filenames` (the untouched photographs).

        Raises:
            UserError: for a scene that cannot be used.
            ValueError: for an unknown split.
        """
        if split not in ("train", "val", "test"):
            raise ValueError(f"unknown split {split!r}")
        scene = self._scene
        chosen = scene.train if split == "train" else scene.held_out
        views = [scene.views[i] for i in chosen]
        metadata: dict[str, Any] = {
            "classes": scene.classes,
            "label_names": scene.labels.names,
            "label_paths": [scene.labels.paths[i] for i in chosen],
            "full_size_filenames": [scene.posed.views[i].image for i in chosen],
        }
        depths = [view.depth for view in views if view.depth is not None]
        if depths:
            metadata["depth_filenames"] = depths
            metadata["depth_unit_scale_factor"] = self.config.depth_unit_scale_factor
        masks = [view.mask for view in views if view.mask is not None]
        side = self.config.scene_scale
        return DataparserOutputs(
            image_filenames=[view.image for view in views],
            cameras=_cameras(scene, chosen),
            # Pictures with transparency are shown on white; the others have no alpha to which this could apply.
            alpha_color=torch.ones(3),
            scene_box=SceneBox(aabb=torch.tensor([[-side] * 3, [side] * 3], dtype=torch.float32)),
            mask_filenames=masks or None,
            metadata=metadata,
            dataparser_transform=scene.transform,
            dataparser_scale=scene.scale,
        )


ovs3d_dataparser = DataParserSpecification(
    config=OVS3DDataParserConfig(),
    description="Scenes with words: transforms.json, the 3D-OVS layout, or COLMAP.",
)
