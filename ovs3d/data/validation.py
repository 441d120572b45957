"""Checks a scene before anything is written or trained."""

from pathlib import Path

from ovs3d.data.classes import resolve_classes
from ovs3d.data.dataparser import OVS3DDataParserConfig, require_max_side
from ovs3d.data.images import check_decodes, in_threads
from ovs3d.data.labels import find_labels, load_label_map
from ovs3d.data.layouts import read_scene, scene_folder
from ovs3d.data.splits import split_views
from ovs3d.data.views import PosedViews
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
    training_images(config, posed)
    check_decodes(view.image for view in posed.views)
    check_decodes(view.mask for view in posed.views if view.mask is not None)
    check_decodes(view.depth for view in posed.views if view.depth is not None)

    def check_label(index: int) -> None:
        size = posed.views[index].intrinsics
        load_label_map(labels.paths[index], labels.names, labels.names, (size.height, size.width))

    in_threads(check_label, range(len(posed.views)))


def training_images(config: OVS3DDataParserConfig, posed: PosedViews | None = None) -> list[Path]:
    """The untouched photographs of the training views, in the dataparser's order.

    Args:
        config: of the dataparser.
        posed: the scene, where it has been read already.
    """
    posed = posed or read_scene(config.data)
    labels = find_labels(scene_folder(config.data), [view.image for view in posed.views])
    masked = [labels.masks and path is not None for path in labels.paths]
    train, _ = split_views(posed, masked, config.protocol, config.held_out)
    return [posed.views[index].image for index in train]
