"""The benchmark of 3D-OVS (arXiv 2305.14093): ten scenes with five labelled views each."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from jaxtyping import Bool
from PIL import Image

from ovs3d.benchmarks.plan import Plan
from ovs3d.benchmarks.published import PUBLISHED_3D_OVS
from ovs3d.benchmarks.tables import Measured
from ovs3d.data.cameras import resized
from ovs3d.data.classes import MASKS_FOLDER, name_key
from ovs3d.data.images import image_size
from ovs3d.data.labels import open_label
from ovs3d.errors import UserError
from ovs3d.evaluation.metrics import PaperScore
from ovs3d.evaluation.protocols import evaluate
from ovs3d.scene import Scene

log = logging.getLogger(__name__)

SHRINK = 8
"""The authors measure at an eighth of the photographs' size."""


@dataclass(frozen=True)
class OVSScene:
    """Content of `configs/3d-ovs/<scene>.yaml`: the labelled views, and flags that a method gets for it alone."""

    name: str
    views: tuple[int, ...]
    flags: dict[str, tuple[str, ...]]


def read_scene_configs(folder: Path) -> list[OVSScene]:
    """The scenes of a benchmark, one YAML file each, sorted by name.

    Raises:
        UserError: there are none, or one has another form.
    """
    scenes = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            flags = {
                method: tuple(word for flag, value in values.items() for word in (f"--{flag}", str(value)))
                for method, values in content["flags"].items()
            }
            scenes.append(OVSScene(path.stem, tuple(int(view) for view in content["views"]), flags))
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is no scene of a benchmark ({error}); give it 'views' and 'flags'.") from error
    if len(scenes) == 0:
        raise UserError(f"{folder} holds no YAML file of a scene; call from the checkout, or name it with --configs.")
    return scenes


def bench_3d_ovs(plan: Plan, configs: Path) -> list[Measured]:
    """Trains and measures every scene that is found below `plan.data`, in the layout of 3D-OVS.

    Raises:
        UserError: no scene is found, one has no labels, or training fails.
    """
    known = {scene.name: scene for scene in read_scene_configs(configs)}
    found = [known[name] for name in plan.found(list(known))]
    for scene in found:
        check_labelled_views(plan.data / scene.name, scene.views)
    miou_paper, accuracy_paper, miou = {}, {}, {}
    for scene in found:
        scores = plan.measure(scene.name, scene.flags.get(plan.method, ()), scores_of)
        miou_paper[scene.name], accuracy_paper[scene.name] = 100 * scores["miou_paper"], 100 * scores["accuracy_paper"]
        miou[scene.name] = 100 * scores["miou"]
    split = plan.split
    return [
        Measured(
            "mIoU (3D-OVS)", "ours", f"1/8 size, mean over (view, class); {split}", miou_paper,
            PUBLISHED_3D_OVS[0] if plan.protocol == "paper" else None,
        ),
        Measured("mIoU", "ours, full size", f"one confusion matrix over all labelled pixels; {split}", miou),
        Measured("pixel accuracy (3D-OVS)", "ours, accuracy", f"1/8 size, all pixels; {split}", accuracy_paper),
    ]  # fmt: skip


def scores_of(run: Scene) -> dict[str, float]:
    """The authors' scores of a run, and `miou` over all labelled pixels at full size."""
    found = evaluate(run)["segmentation"]
    if found is None:
        raise UserError(f"No mask is named as one of the classes {', '.join(run.classes)}; ask for the masks' names.")
    return {**paper_scores(run), "miou": found["miou"]}


def check_labelled_views(scene: Path, listed: tuple[int, ...]) -> None:
    """Tells where a scene's labels are of other views than those that are known to be published.

    Raises:
        UserError: it has no labels.
    """
    folders = {mask.parent.name for mask in (scene / MASKS_FOLDER).glob("*/*.png")}
    found = tuple(sorted(int(name) for name in folders if name.isdecimal()))
    if len(found) == 0:
        raise UserError(f"{scene / MASKS_FOLDER} has no folder <view>/ with masks; the benchmark needs its labels.")
    if found != listed:
        log.info("%s: views %s are labelled, published are %s.", scene, list(found), list(listed))


def paper_scores(scene: Scene) -> dict[str, float]:
    """`miou_paper` and `accuracy_paper` of a run in [0, 1], measured as the authors of 3D-OVS do.

    Each labelled view is rendered in an eighth of its photograph's size, rounded down. Masks are shrunk to it by the
    nearest pixel, and what is not 255 is outside. The best class is that of the largest cosine to the words of the run.

    Departure: a mask that is not there is an empty one; the authors stop.
    """
    paper, outputs = PaperScore(scene.classes), scene.held_out_outputs
    photographs, labels = outputs.metadata["full_size_filenames"], outputs.metadata["label_paths"]
    for index, (photograph, folder) in enumerate(zip(photographs, labels, strict=True)):
        if folder is None:
            continue
        width, height = (max(1, side // SHRINK) for side in image_size(photograph))
        camera = resized(outputs.cameras[index : index + 1], height, width)
        predicted = scene.segment(camera, with_scores=False).labels
        paper.update_masks(predicted, torch.from_numpy(read_masks(folder, scene.classes, (height, width))))
    return paper.summary()


def read_masks(folder: Path, class_names: tuple[str, ...], size: tuple[int, int]) -> Bool[np.ndarray, "classes h w"]:
    """The masks `<class>.png` of one view as the authors of 3D-OVS read them; they may overlap.

    Args:
        folder: `segmentations/<view>`.
        class_names: one mask each.
        size: (h, w) in pixels.

    Raises:
        UserError: names a file that cannot be read or has another aspect ratio.
    """
    files = {name_key(path.stem): path for path in folder.glob("*.png")}
    height, width = size
    masks = np.zeros((len(class_names), height, width), dtype=bool)
    for mask, name in zip(masks, class_names, strict=True):
        if name_key(name) in files:
            picture = open_label(files[name_key(name)], size).convert("L")
            mask[:] = np.asarray(picture.resize((width, height), Image.Resampling.NEAREST)) == 255
    return masks
