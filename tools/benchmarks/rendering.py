"""Rows of rendering: what the semantics add to the cost of a video frame; the scene that it and queries render."""

from collections.abc import Iterator
from pathlib import Path

from nerfstudio.cameras.cameras import Cameras

from ovs3d.evaluation.results import ResultRow
from ovs3d.model import OVS3DModel
from ovs3d.scene import Scene
from ovs3d.teachers.text import embed_prompts, text_encoder
from tools.benchmarks.methods import Loop, tiny_on
from tools.benchmarks.timing import median_row, take_turns

WIDTH = 256


def small_scene(room: Path) -> tuple[Scene, Cameras]:
    """A scene of the sizes of ovs3d-tiny, untrained because no cost depends on what was learned, and 256x192 views."""
    config = tiny_on(room, 320)
    model = Loop(config).pipeline.model.eval()
    assert isinstance(model, OVS3DModel)
    model.step = model.config.geometry_steps
    model.text.copy_(embed_prompts(text_encoder(config.pipeline.datamanager), config.pipeline.prompts))
    scene = Scene(config, model)
    views = scene.held_out_outputs.cameras
    views.rescale_output_resolution(WIDTH / int(views.width[0]))
    return scene, views


def video(room: Path, repetitions: int) -> Iterator[ResultRow]:
    """Frames of 256x192: colour and depth alone, and with the classes."""
    scene, views = small_scene(room)
    model = scene.model

    def frame(step: int) -> None:
        model.step = step
        model.get_outputs_for_camera(views[0:1])

    last = model.config.geometry_steps
    pairs = take_turns(lambda: frame(0), lambda: frame(last), repetitions)
    added = tuple(100.0 * (ratio - 1.0) for ratio in pairs.ratios)
    fps = tuple(1.0 / seconds for seconds in pairs.theirs)
    yield median_row("what the semantics add to a frame of a video", added, 25.0, "%", higher_is_better=False)
    yield median_row("segmentation video, 256x192", fps, None, "frames/s")
