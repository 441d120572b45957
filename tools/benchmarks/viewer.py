"""What a browser that looks on costs the training.

The host gives renders about a tenth of the time, whatever their size: small ones come often enough to be counted.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import msgspec
from nerfstudio.viewer.viewer import Viewer
from websockets.sync.client import connect

from ovs3d.evaluation.results import ResultRow
from ovs3d.trainer import OVS3DTrainer
from tools.benchmarks.methods import tiny_on
from tools.benchmarks.timing import median_row, seconds

TURN, SIDE = 30.0, 256
"""Seconds, about, that a turn lasts, and pixels of the long side of a picture: several of them come in a turn."""
WORDS = "a red ball, a wooden box"
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (0.0, 0.0, 0.0), "fov": 1.0,
    "aspect": 1.5, "look_at": (0.0, 0.0, 1.0), "up_direction": (0.0, -1.0, 0.0),
}  # fmt: skip


def viewer(room: Path, repetitions: int) -> Iterator[ResultRow]:
    """How much slower both stages train while a viewer is open."""
    with tempfile.TemporaryDirectory() as folder:
        training = Training(room, Path(folder))
        try:
            yield training.slowdown("geometry stage", "rgb", repetitions)
            assert not training.model.in_semantics
            training.model.config.geometry_steps = training.trainer.step + 1
            training.advance(20)
            assert training.model.in_semantics
            yield training.slowdown("semantic stage", "relevancy", repetitions)
        finally:
            training.trainer.shutdown()


class Training:
    """`ns-train ovs3d-tiny` with the viewer, some steps at a time."""

    def __init__(self, room: Path, folder: Path) -> None:
        config = tiny_on(room, 320)
        config.output_dir, config.vis = folder, "viewer"
        config.geometry_steps, config.max_num_iterations = 100_000, 100_000
        config.steps_per_save = 1_000_000
        config.viewer.quit_on_train_completion = True
        config.machine.device_type = "cpu"
        config.set_timestamp()
        config.get_base_dir().mkdir(parents=True)
        self.config = config
        self.trainer: OVS3DTrainer = config.setup(local_rank=0, world_size=1)
        self.trainer.setup()
        assert isinstance(self.trainer.viewer_state, Viewer)
        self.viewer, self.model = self.trainer.viewer_state, self.trainer.pipeline.model
        self.viewer.control_panel._max_res.value = SIDE
        self.advance(20)

    def advance(self, steps: int) -> None:
        """Trains on."""
        trainer = self.trainer
        trainer._start_step = trainer.step + 1 if trainer.step > 0 else 0
        self.config.max_num_iterations = trainer._start_step + steps
        trainer.train()
        trainer.training_state = "training"  # The host thinks that it is over.

    def slowdown(self, stage: str, output: str, repetitions: int) -> ResultRow:
        """Per cent of time that a step takes longer while somebody looks at an output, in turns with nobody."""
        steps = max(20, round(20 * TURN / seconds(lambda: self.advance(20))))

        def turn(watched: bool) -> float:
            """Seconds, without those of opening the viewer."""
            with watching(self.viewer, output) if watched else nullcontext():
                return seconds(lambda: self.advance(steps))

        slower = tuple(100.0 * (turn(True) / turn(False) - 1.0) for _ in range(repetitions))
        name = f"{stage}, what a viewer that shows {output} adds to a step"
        return median_row(name, slower, 10.0, "%", higher_is_better=False)


@contextmanager
def watching(viewer: Viewer, output: str) -> Iterator[None]:
    """A browser's connection, in a process of its own, that looks at an output and has its first full picture."""
    url = f"ws://127.0.0.1:{viewer.viser_server.get_port()}"
    browser = subprocess.Popen([sys.executable, "-m", __name__, url])
    while len(viewer.render_statemachines) == 0:
        if browser.poll() is not None:
            raise RuntimeError("The connection to the viewer failed; what its process printed tells why.")
        time.sleep(0.05)
    dropdown = viewer.control_panel._output_render
    while output not in dropdown.options:
        time.sleep(0.05)
    dropdown.value = output
    if output == "relevancy":
        panel: Any = viewer.pipeline.panel
        panel.words.value = WORDS
    (machine,) = viewer.render_statemachines.values()
    for _ in range(2):  # The host calls a picture full before it begins to render it.
        while machine.state != "high" or machine.next_action is not None or is_locked(viewer):
            time.sleep(0.05)
        time.sleep(0.5)
    try:
        yield
    finally:
        browser.terminate()
        browser.wait()
        while len(viewer.render_statemachines) > 0:
            time.sleep(0.05)


def is_locked(viewer: Viewer) -> bool:
    """Whether a render holds the model."""
    return viewer.train_lock is not None and viewer.train_lock.locked()


def look_on(url: str) -> None:
    """Receives pictures and throws them away."""
    with connect(url, max_size=None, proxy=None) as browser:
        browser.send(msgspec.msgpack.encode(CAMERA))
        for _ in browser:
            pass


if __name__ == "__main__":
    look_on(sys.argv[1])
