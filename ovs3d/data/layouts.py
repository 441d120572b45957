"""Finds out how a scene is laid out and reads it."""

from pathlib import Path

from ovs3d.data.colmap import find_colmap, read_colmap
from ovs3d.data.llff import POSES_FILE, find_images, read_llff
from ovs3d.data.rgbd import find_rgbd
from ovs3d.data.transforms import read_transforms
from ovs3d.data.views import PosedViews
from ovs3d.errors import UserError


def scene_folder(data: Path) -> Path:
    """The folder of a scene given by its folder or by its `transforms.json`."""
    path = data.expanduser().absolute()
    return path.parent if path.suffix == ".json" else path


def read_scene(data: Path) -> PosedViews:
    """Reads the cameras of a scene: `transforms.json`, else the 3D-OVS layout, COLMAP, ScanNet or Replica.

    Args:
        data: the scene's folder, or a `.json` file of nerfstudio's form.

    Raises:
        UserError: if there is no such folder, no known layout in it, or something in it cannot be used.
    """
    folder = scene_folder(data)
    if not folder.is_dir():
        raise UserError(f"There is no data folder {folder}; give the folder of a scene with --data.")
    file = data.expanduser().absolute() if data.suffix == ".json" else folder / "transforms.json"
    if file.is_file():
        return read_transforms(file)
    if data.suffix == ".json":
        raise UserError(f"There is no file {file}; give a transforms.json or the folder of a scene with --data.")
    if (folder / POSES_FILE).is_file():
        return read_llff(folder)
    model = find_colmap(folder)
    if model is not None:
        find_images(folder)
        return read_colmap(folder, model)
    read_recording = find_rgbd(folder)
    if read_recording is not None:
        return read_recording(folder)
    raise UserError(
        f"{folder} holds no transforms.json, no {POSES_FILE} and no COLMAP model in sparse/0; "
        "make one of them, for example with ns-process-data."
    )
