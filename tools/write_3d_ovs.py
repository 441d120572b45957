"""Writes a labelled scene in the layout of 3D-OVS's dataset, with masks of its held-out views.

For example: python tools/write_3d_ovs.py --data data/room --out outputs/3d-ovs/room
"""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float64
from PIL import Image

from ovs3d.data.classes import CLASSES_FILE, MASKS_FOLDER
from ovs3d.data.labels import LabelFiles, find_labels, load_label_map
from ovs3d.data.layouts import read_scene, scene_folder
from ovs3d.data.llff import POSES_FILE
from ovs3d.data.splits import split_views
from ovs3d.data.views import PosedViews, View
from ovs3d.errors import UserError

PERCENTILES = (0.1, 99.9)
"""Of the depth, LLFF's bounds."""


@dataclass(frozen=True)
class Write3DOVS:
    """Writes one scene."""

    data: Path
    """A scene with labels and depth maps, taken by one camera without distortion."""
    out: Path
    """The folder to make."""

    def run(self) -> None:
        """Writes everything into a folder beside, which gets its name when it is complete."""
        if self.out.exists():
            raise UserError(f"{self.out} exists; remove it or give another folder with --out.")
        posed = read_scene(self.data)
        labels = find_labels(scene_folder(self.data), [view.image for view in posed.views])
        _, held_out = split_views(posed, [labels.masks and path is not None for path in labels.paths], "held-out")
        rows = np.stack([poses_bounds_row(view, depth_bounds(view)) for view in posed.views])
        self.out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.out.parent, prefix=f".{self.out.name}.") as draft:
            folder = Path(draft) / "scene"
            (folder / "images").mkdir(parents=True)
            for view in posed.views:
                shutil.copyfile(view.image, folder / "images" / view.image.name)
            np.save(folder / POSES_FILE, rows)
            write_masks(folder / MASKS_FOLDER, posed, labels, held_out)
            folder.rename(self.out)


def poses_bounds_row(view: View, bounds: tuple[float, float]) -> Float64[np.ndarray, " 17"]:
    """A row of `poses_bounds.npy`: [3, 5] of down, right, backwards, position and (h, w, focal), then near and far.

    Raises:
        UserError: the camera is more than one focal length and a size.
    """
    lens = view.intrinsics
    centred = (lens.cx, lens.cy) == (lens.width / 2, lens.height / 2)
    if lens.fx != lens.fy or not centred or any(lens.distortion):
        raise UserError(f"{view.image} has two focal lengths, an off-centre axis or distortion; LLFF poses know none.")
    right, up, back, position = view.pose[:3].T
    block = np.stack([-up, right, back, position, (lens.height, lens.width, lens.fx)], axis=1)
    return np.concatenate([block.ravel(), bounds])


def depth_bounds(view: View) -> tuple[float, float]:
    """Nearly the smallest and largest depth of a view in metres, from a depth picture in millimetres.

    Raises:
        UserError: it has none.
    """
    if view.depth is None:
        raise UserError(f"{view.image} has no depth map for its near and far bounds; give 'depth_file_path'.")
    depth = np.asarray(Image.open(view.depth)) / 1000.0
    near, far = np.percentile(depth[depth > 0.0], PERCENTILES)
    return float(near), float(far)


def write_masks(folder: Path, posed: PosedViews, labels: LabelFiles, chosen: Sequence[int]) -> None:
    """Writes `classes.txt` and, for every chosen view, `<view>/<class>.png` of all classes, 0 or 255."""
    folder.mkdir()
    (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in labels.names), encoding="utf-8")
    for index in chosen:
        size = (posed.views[index].intrinsics.height, posed.views[index].intrinsics.width)
        indices = load_label_map(labels.paths[index], labels.names, labels.names, size)
        if indices is None:
            raise UserError(f"{posed.views[index].image} is held out but has no labels; the layout needs them.")
        (folder / f"{index:02d}").mkdir()
        for number, name in enumerate(labels.names):
            mask = np.where(indices == number, 255, 0).astype(np.uint8)
            Image.fromarray(mask).save(folder / f"{index:02d}" / f"{name}.png", optimize=True)


if __name__ == "__main__":
    tyro.cli(Write3DOVS, description=__doc__).run()
