"""What tensorboard and an offline wandb hold after a short training: every loss, held-out mIoU and a picture."""

import io
import json
import math
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ovs3d.evaluation.metrics import ConfusionMatrix
from ovs3d.pipeline import LATTICE_STEP
from ovs3d.scene import Scene
from tests.end_to_end.runs import LOGGED_STEPS

LAST = LOGGED_STEPS[1] - 1
GEOMETRY_LOSSES = ("rgb", "interlevel", "distortion")
SEMANTIC_LOSSES = ("feature", "rda", "selection", "patch_feature", "fda_positive", "fda_negative")


@dataclass
class Log:
    """What was logged, by name and step, in one run."""

    run: Path
    scalars: dict[str, dict[int, float]] = field(default_factory=dict)
    pictures: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)


@pytest.fixture(scope="module", params=["tensorboard", pytest.param("wandb", marks=pytest.mark.slow)])
def log(request: pytest.FixtureRequest) -> Log:
    """The log of a short run with a patch encoder."""
    return request.getfixturevalue(f"{request.param}_log")


@pytest.fixture(scope="module")
def tensorboard_log(patch_run: Path) -> Log:
    """Read back from the event file."""
    log, events = Log(patch_run), EventAccumulator(str(patch_run))
    events.Reload()
    for name in events.Tags()["scalars"]:
        log.scalars[name] = {event.step: event.value for event in events.Scalars(name)}
    for name in events.Tags()["images"]:
        images = {event.step: io.BytesIO(event.encoded_image_string) for event in events.Images(name)}
        log.pictures[name] = {step: np.asarray(Image.open(image)) for step, image in images.items()}
    return log


@pytest.fixture(scope="module")
def wandb_log(scene_folder: Path, features_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Read back from the file that an offline run leaves for `wandb sync`; nothing else may be left anywhere."""
    root = tmp_path_factory.mktemp("wandb")
    here, run = root / "here", root / "outputs" / "boxes" / "ovs3d-tiny" / "run"
    here.mkdir()
    arguments = [
        *("ovs3d-tiny", "--vis", "wandb", "--data", scene_folder, "--features", features_folder),
        *("--teachers", "files", "dino", "--dino", "tiny-dino", "--machine.device-type", "cpu"),
        *("--output-dir", root / "outputs", "--experiment-name", "boxes", "--timestamp", "run"),
        *("--geometry-steps", LOGGED_STEPS[0], "--max-num-iterations", LOGGED_STEPS[1]),
        *("--steps-per-eval-image", LAST, "--steps-per-eval-all-images", LAST),
        *("--pipeline.datamanager.table-rays", 5000, "--pipeline.model.texture-log2-size", 12),
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR", "TMPDIR"):
            (root / name).mkdir()
            patch.setenv(name, str(root / name))
        for name in ("WANDB_DIR", "WANDB_NAME", "WANDB_PROJECT"):
            patch.delenv(name, raising=False)
        command = [sys.executable, "-m", "nerfstudio.scripts.train", *map(str, arguments)]
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert list(here.iterdir()) == []
    return read_wandb(run)


def read_wandb(run: Path) -> Log:
    """Reads the only offline wandb run inside a run folder."""
    from wandb.proto import wandb_internal_pb2
    from wandb.sdk.internal.datastore import DataStore

    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    log, store = Log(run), DataStore()
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        record: Any = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        values = {"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item}
        values = {name: json.loads(value) for name, value in values.items()}
        for name, value in values.items():
            if name.endswith("/path"):
                picture = np.asarray(Image.open(file.parent / "files" / value))
                log.pictures.setdefault(name.removesuffix("/path"), {})[values["_step"]] = picture
            elif isinstance(value, int | float):
                log.scalars.setdefault(name, {})[values["_step"]] = value
    return log


def test_every_loss_is_logged_in_its_stage(log: Log) -> None:
    logged = {name: set(steps) for name, steps in log.scalars.items() if name.startswith("Train Loss Dict/")}
    expected = {f"Train Loss Dict/{name}": {0, 10} for name in GEOMETRY_LOSSES}
    expected["Train Loss Dict/distance"] = {0}  # It fades out within the first part of the geometry stage.
    expected |= {f"Train Loss Dict/{name}": {20} for name in SEMANTIC_LOSSES}
    assert logged == expected


def test_every_number_is_finite(log: Log) -> None:
    assert len(log.scalars) > 0
    for name, steps in log.scalars.items():
        assert all(math.isfinite(value) for value in steps.values()), name


def test_logged_miou_is_that_of_all_held_out_views(log: Log) -> None:
    scene = Scene.load(log.run)
    confusion = ConfusionMatrix(scene.classes)
    for view in scene.held_out():
        assert view.labels is not None
        labels = scene.segment(view.camera).labels
        confusion.update(labels[::LATTICE_STEP, ::LATTICE_STEP], view.labels[::LATTICE_STEP, ::LATTICE_STEP])
    steps = log.scalars["Eval Images Metrics Dict (all images)/miou"]
    assert steps == {LAST: pytest.approx(confusion.summary()["miou"], abs=1e-6)}


def test_segmentation_of_a_held_out_view_is_logged(log: Log) -> None:
    scene = Scene.load(log.run)
    (picture,) = log.pictures["Eval Images/segmentation"].values()
    views = [scene.segment(view.camera).labels for view in scene.held_out()]
    difference = [np.abs(scene.model.colours[labels].numpy() * 255.0 - picture).max() for labels in views]
    assert min(difference) <= 1.0
