"""The viewer on a trained run and during training: it serves its page and renders what a browser asks for."""

import http.client
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image
from websockets.sync.client import ClientConnection, connect

from ovs3d.config import OVS3DTrainerConfig
from ovs3d.scene import Scene
from ovs3d.trainer import TRAINING_SHARE
from tests.end_to_end.runs import small_config

PATIENCE = 120.0
"""Seconds until a start or a picture counts as never coming."""
CAMERA = {
    "type": "ViewerCameraMessage", "wxyz": (1.0, 0.0, 0.0, 0.0), "position": (0.0, 0.0, 0.0),
    "fov": 1.0, "aspect": 1.5, "look_at": (0.0, 0.0, 1.0), "up_direction": (0.0, -1.0, 0.0),
}  # fmt: skip


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status_of(port: int) -> int | None:
    """The HTTP status of the page on `port`, None if nobody answers."""
    page = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        page.request("GET", "/")
        return page.getresponse().status
    except OSError:
        return None
    finally:
        page.close()


@pytest.fixture
def viewer(run: Path, tmp_path: Path) -> Iterator[tuple[subprocess.Popen, int, Path]]:
    """`ns-viewer` on the trained run, serving: its process, port and printed output."""
    port, printed = free_port(), tmp_path / "printed.txt"
    arguments = ["--load-config", run / "config.yml", "--viewer.websocket-port", port]
    command = [sys.executable, "-m", "nerfstudio.scripts.viewer.run_viewer", *map(str, arguments)]
    # A stopped process does not clear its temporary files away.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with printed.open("w") as file:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while status_of(port) is None:
            assert process.poll() is None and time.monotonic() < deadline, printed.read_text()
            time.sleep(0.2)
        yield process, port, printed
    finally:
        process.terminate()
        process.wait(timeout=30)


def messages(browser: ClientConnection) -> Iterator[dict]:
    """What the viewer tells the browser, until patience ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        window = browser.recv(timeout=PATIENCE)
        assert isinstance(window, bytes)
        yield from msgspec.msgpack.decode(window)
    raise TimeoutError("the viewer did not show what it was asked for")


@pytest.mark.slow
def test_ns_viewer_shows_a_trained_run(viewer: tuple[subprocess.Popen, int, Path], scene: Scene) -> None:
    process, port, printed = viewer
    assert status_of(port) == 200
    colours = scene.model.colours.numpy() * 255.0
    with connect(f"ws://127.0.0.1:{port}", max_size=None, proxy=None) as browser:
        browser.send(msgspec.msgpack.encode(CAMERA))
        for message in messages(browser):
            if message.get("label") == "Opacity":
                opaque = {"type": "GuiUpdateMessage", "id": message["id"], "updates": {"value": 1.0}}
                browser.send(msgspec.msgpack.encode(opaque))
            if "segmentation" in message.get("updates", {}).get("options", ()):
                choice = {"type": "GuiUpdateMessage", "id": message["id"], "updates": {"value": "segmentation"}}
                browser.send(msgspec.msgpack.encode(choice))
            if message["type"] == "BackgroundImageMessage":
                pixels = np.asarray(Image.open(io.BytesIO(message["rgb_bytes"])), np.float32).reshape(-1, 1, 3)
                if np.median(np.abs(pixels - colours).max(axis=-1).min(axis=-1)) < 6.0:
                    break  # Most pixels have the colour of a class: it is the segmentation.
    assert process.poll() is None
    assert f"http://127.0.0.1:{port}" in printed.read_text() and "Traceback" not in printed.read_text()


def test_ns_train_serves_the_viewer(scene_folder: Path, features_folder: Path, tmp_path: Path) -> None:
    config: OVS3DTrainerConfig = small_config(scene_folder, features_folder, tmp_path, (2, 4))
    config.vis, config.viewer.websocket_port = "viewer", free_port()
    config.viewer.quit_on_train_completion = True
    config.get_base_dir().mkdir(parents=True)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    try:
        trainer.train()
        assert trainer.step == 3 and status_of(config.viewer.websocket_port) == 200
        assert trainer.viewer_state.train_util == TRAINING_SHARE
    finally:
        trainer.shutdown()


def test_words_that_are_typed_too_early_are_asked_when_the_semantics_begin(
    scene_folder: Path, features_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config: OVS3DTrainerConfig = small_config(scene_folder, features_folder, tmp_path, (10, 100_000))
    config.vis, config.viewer.websocket_port = "viewer", free_port()
    config.viewer.quit_on_train_completion = True
    config.get_base_dir().mkdir(parents=True)
    trainer = config.setup(local_rank=0, world_size=1)
    trainer.setup()
    panel = trainer.pipeline.panel

    def look_on() -> None:
        """A browser that types a word before training begins, and training ends once the word is shown."""
        with connect(f"ws://127.0.0.1:{config.viewer.websocket_port}", max_size=None, proxy=None) as browser:
            browser.send(msgspec.msgpack.encode(CAMERA))
            panel.words.value = "red box"
            for message in messages(browser):
                told.append(str(message.get("updates", {}).get("markdown", "")))
                asked = any("Shown: red box" in each for each in told)
                if asked and trainer.viewer_state.control_panel.output_render == "relevancy":
                    break
        trainer.stop_training = True

    told: list[str] = []
    browser = threading.Thread(target=look_on)
    browser.start()
    try:
        while not any("begins at step 10" in each for each in told):
            time.sleep(0.05)
        trainer.train()
        browser.join(timeout=PATIENCE)
    finally:
        trainer.shutdown()
    assert not browser.is_alive(), told
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
