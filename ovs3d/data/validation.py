"""Checks a scene before anything is written or trained."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from ovs3d.data.classes import resolve_classes
from ovs3d.data.dataparser import OVS3DDataParserConfig, normalise_poses, require_max_side, split_scene
from ovs3d.data.images import check_decodes, in_threads
from ovs3d.data.labels import find_labels, load_label_map
from ovs3d.data.layouts import read_scene, scene_folder
from ovs3d.data.photo_masks import check_mask
from ovs3d.data.views import PosedViews, View
from ovs3d.errors import UserError


def validate_scene(config: OVS3DDataParserConfig, sensor_depth: bool = False) -> None:
    """Reads everything that a run on this scene will read, and writes nothing.

    Every photograph, mask, depth map and label is decoded, so that a damaged file is named now and not hours later.

    Args:
        config: of the dataparser.
        sensor_depth: whether the run needs depth maps.

    Raises:
        UserError: for the first fault; one sentence that names the file or value and the mend.
    """
    posed = read_scene(config.data)
    if sensor_depth and any(view.depth is None for view in posed.views):
        raise UserError(f"{posed.source} names no depth maps (depth_file_path); train without sensor-depth.")
    folder = scene_folder(config.data)
    resolve_classes(config.classes, folder)
    require_max_side(config)
    labels = find_labels(folder, [view.image for view in posed.views])
    splits = split_scene(config, posed, labels)
    normalise_poses(posed, config)
    check_decodes(view.image for view in posed.views)
    check_decodes(view.mask for view in posed.views if view.mask is not None)
    check_decodes(view.depth for view in posed.views if view.depth is not None)

    visible = in_threads(is_visible, posed.views)
    for what, split in zip(("training", "held-out"), splits, strict=True):
        if not any(visible[index] for index in split):
            raise UserError(f"The masks of {posed.source} hide all {what} views altogether; leave parts of them white.")

    def check_label(index: int) -> None:
        size = posed.views[index].intrinsics
        load_label_map(labels.paths[index], labels.names, labels.names, (size.height, size.width))

    in_threads(check_label, range(len(posed.views)))


def is_visible(view: View) -> bool:
    """Whether anything of a view is: its mask is not all black."""
    return view.mask is None or check_mask(view.mask, (view.intrinsics.height, view.intrinsics.width))


def training_images(config: OVS3DDataParserConfig, posed: PosedViews | None = None) -> list[Path]:
    """The untouched photographs of the training views, in the dataparser's order.

    Args:
        config: of the dataparser.
        posed: the scene, where it has been read already.
    """
    return split_images(config, posed or read_scene(config.data))[0]


def split_images(config: OVS3DDataParserConfig, posed: PosedViews) -> tuple[list[Path], list[Path]]:
    """The untouched photographs of the training views and of the held-out ones, in the dataparser's order."""
    labels = find_labels(scene_folder(config.data), [view.image for view in posed.views])
    train, held_out = split_scene(config, posed, labels)
    return [posed.views[index].image for index in train], [posed.views[index].image for index in held_out]


def check_geometry_fits(run: Path, trained: OVS3DDataParserConfig, now: OVS3DDataParserConfig) -> None:
    """Refuses the geometry of a run in another world, or that has seen what is held out now.

    Args:
        run: its folder, where nerfstudio keeps the transform of its world.
        trained: how it read its scene, wherever that lay.
        now: how the scene is read.

    Raises:
        UserError: the poses or their normalisation differ, or a held-out view was trained on.
    """
    posed = read_scene(now.data)
    _, transform, scale = normalise_poses(posed, now)
    world = run / "dataparser_transforms.json"
    if world.is_file():
        kept = json.loads(world.read_text(encoding="utf-8"))
        same_place = np.allclose(kept["transform"], transform.numpy(), atol=1e-4)
        if not (same_place and np.isclose(kept["scale"], scale, atol=1e-4)):
            raise UserError(
                f"The geometry of {run} lies in another world than {now.data}: other poses, orientation, centre or "
                "scale; train it anew."
            )
    if now.protocol == "paper":
        return
    seen, _ = split_images(replace(trained, data=now.data), posed)
    spoilt = sorted(set(seen) & set(split_images(now, posed)[1]))
    if spoilt:
        raise UserError(
            f"The geometry of {run} was trained on {spoilt[0].name}, which is held out now; hold out what it held out, "
            "or train it anew."
        )
