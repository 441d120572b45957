"""Rows of rendering: what the semantics add to the cost of a video frame."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import torch
from torch.nn.functional import normalize

from ovs3d.evaluation.results import ResultRow
from ovs3d.model import OVS3DModel
from tools.benchmarks.methods import ours
from tools.benchmarks.timing import median_row, take_turns

WIDTH = 256


def video(room: Path, repetitions: int) -> Iterator[ResultRow]:
    """Frames of 256x192: colour and depth alone, and with the classes; the cost does not depend on what was learned."""
    loop = ours(room, 320)
    model, dataset = loop.pipeline.model.eval(), loop.pipeline.datamanager.eval_dataset
    assert isinstance(model, OVS3DModel) and dataset is not None
    camera = deepcopy(dataset.cameras[0:1])
    camera.rescale_output_resolution(WIDTH / int(camera.width))
    model.text.copy_(normalize(torch.randn_like(model.text), dim=-1))

    def frame(step: int) -> None:
        model.step = step
        model.get_outputs_for_camera(camera)

    last = model.config.geometry_steps
    pairs = take_turns(lambda: frame(0), lambda: frame(last), repetitions)
    added = tuple(100.0 * (ratio - 1.0) for ratio in pairs.ratios)
    fps = tuple(1.0 / seconds for seconds in pairs.theirs)
    yield median_row("what the semantics add to a frame of a video", added, 25.0, "%", higher_is_better=False)
    yield median_row("segmentation video, 256x192", fps, None, "frames/s")
