"""Makes the figure of docs/your-own-scene.md: a run of the bundled scene that is right, and three that went wrong."""

import json
import shutil
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import UInt8
from PIL import Image
from scipy.spatial.transform import Rotation

from ovs3d.benchmarks.runs import train
from ovs3d.data.layouts import read_scene
from ovs3d.data.splits import spread_evenly
from ovs3d.evaluation.figures import RIGHT, WRONG, titled_panels
from ovs3d.palette import class_colours, colourise
from ovs3d.query.result import to_bytes
from ovs3d.run_folder import find_run
from ovs3d.scene import Scene
from tools.results.variants import ENCODERS

FEW = 6
"""Photographs of the run that has too few."""
TURNED = 2.0
"""Degrees by which the cameras are turned in the run whose poses are wrong."""
UNNAMED = "wallpaper"
"""What has no word in the run whose words are too few."""


def main(
    demo: Path = Path("outputs/demo"),
    data: Path = Path("data/room"),
    root: Path = Path("outputs/guide"),
    out: Path = Path("docs/figures/wrong.png"),
    view: int = 4,
) -> None:
    """Writes the picture.

    Args:
        demo: folder of the demo's results.
        data: the bundled scene.
        root: where the runs that went wrong are kept.
        out: the PNG.
        view: index of the held-out view that is shown.
    """
    right = Scene.load(find_run(demo))
    name = list(right.held_out())[view].name
    words = [name for name in right.classes if name != UNNAMED]
    rows = {
        f"{len(right.train_outputs.cameras)} photographs": right,
        f"{FEW} photographs": Scene.load(train_on_few(root, data, right)),
        f"poses wrong by {TURNED:.0f} degrees": Scene.load(train_on_wrong_poses(root, data)),
        f"no word for the {UNNAMED}": right.with_classes(words),
    }
    figure = np.concatenate([figure_row(title, scene, name, right.classes) for title, scene in rows.items()])
    Image.fromarray(figure).quantize(128).save(out, optimize=True)


def train_on_few(root: Path, data: Path, right: Scene) -> Path:
    """A run on `FEW` of the training photographs."""
    training = [path.name for path in right.train_outputs.image_filenames]
    kept = {training[index] for index in spread_evenly(FEW, len(training))}
    others = [view.image.name for view in read_scene(data).views if view.image.name not in kept]
    flags = (*ENCODERS, "--pipeline.datamanager.dataparser.held-out", *others)
    return train(root, "few", "ovs3d-tiny", data, 0, flags)


def train_on_wrong_poses(root: Path, data: Path) -> Path:
    """A run whose training cameras are each turned by `TURNED` degrees, about axes of their own."""
    scene = root / "turned"
    shutil.copytree(data, scene, dirs_exist_ok=True)
    poses = json.loads((data / "transforms.json").read_text(encoding="utf-8"))
    generator = np.random.default_rng(0)
    for frame in poses["frames"]:
        if frame["file_path"] in poses["train_filenames"]:
            pose, axis = np.array(frame["transform_matrix"]), generator.normal(size=3)
            turn = Rotation.from_rotvec(TURNED * axis / np.linalg.norm(axis), degrees=True)
            pose[:3, :3] = turn.as_matrix() @ pose[:3, :3]
            frame["transform_matrix"] = pose.tolist()
    (scene / "transforms.json").write_text(json.dumps(poses), encoding="utf-8")
    return train(root, "poses", "ovs3d-tiny", scene, 0, ENCODERS)


def figure_row(
    title: str, scene: Scene, name: str, classes: tuple[str, ...], width: int = 300
) -> UInt8[np.ndarray, "row_h row_w 3"]:
    """Colour, classes and mistakes of a run in the labelled view of that name.

    Args:
        title: of the run.
        scene: the run; its classes are some of those.
        name: of a held-out view.
        classes: of the data, which choose the colours.
        width: of a panel, in pixels.
    """
    view = next(view for view in scene.held_out() if view.name == name)
    assert view.labels is not None
    numbers = np.array([classes.index(word) for word in scene.classes])
    found = scene.segment(view.camera, with_scores=False)
    classes_found = numbers[found.labels.numpy()]
    labels = view.labels.numpy()
    wrong = classes_found != np.where(labels >= 0, numbers[labels], -1)
    panels = [
        (title, to_bytes(found.rgb.numpy())),
        ("classes", colourise(classes_found, class_colours(len(classes)))),
        (f"mistakes ({100 * wrong.mean():.0f} %)", np.where(wrong[..., None], WRONG, RIGHT).astype(np.uint8)),
    ]
    return titled_panels(panels, width, font_size=15)


if __name__ == "__main__":
    tyro.cli(main)
