"""Reads COLMAP models through nerfstudio's reader."""

import struct
from pathlib import Path

from nerfstudio.data.dataparsers.colmap_dataparser import ColmapDataParser, ColmapDataParserConfig

from ovs3d.data.transforms import views_from_meta
from ovs3d.data.views import PosedViews
from ovs3d.errors import UserError

MODEL_FOLDERS = ("colmap/sparse/0", "sparse/0", "colmap/sparse", "sparse", "colmap", ".")


def find_colmap(folder: Path) -> Path | None:
    """The folder of the COLMAP model of a scene, text or binary, or None."""
    for name in MODEL_FOLDERS:
        for suffix in (".bin", ".txt"):
            if all((folder / name / f"{part}{suffix}").is_file() for part in ("cameras", "images")):
                return folder / name
    return None


def read_colmap(folder: Path, model: Path) -> PosedViews:
    """Reads the registered images of a COLMAP model; `train_list.txt` and `test_list.txt` split them as in nerfstudio.

    Args:
        folder: the scene's folder with `images/`.
        model: the folder of the model inside it.

    Raises:
        UserError: for a model that cannot be read or missing images.
    """
    config = ColmapDataParserConfig(data=folder, images_path=Path("images"), load_3D_points=False)
    try:
        meta = ColmapDataParser(config)._get_all_images_and_cameras(model)
    except (OSError, ValueError, KeyError, IndexError, AssertionError, NotImplementedError, struct.error) as error:
        raise UserError(
            f"{model} cannot be read as a COLMAP model ({error}); export it again with the camera model OPENCV."
        ) from error
    for split in ("train", "test"):
        path = folder / f"{split}_list.txt"
        if path.is_file():
            names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
            meta[f"{split}_filenames"] = [str(folder / "images" / name) for name in names if name]
    return views_from_meta(meta, folder, model)
