"""Drives nerfstudio's viewer in Chromium, for its tests and for README's pictures."""

import io
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
import viser.transforms
from jaxtyping import UInt8
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.configs.base_config import ViewerConfig
from nerfstudio.utils import writer
from nerfstudio.utils.eval_utils import eval_setup
from nerfstudio.viewer.utils import get_camera
from nerfstudio.viewer.viewer import VISER_NERFSTUDIO_SCALE_RATIO, Viewer
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from ovs3d.viewer.host import HERE

SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
SPARING = """
    const now = performance.now.bind(performance);
    performance.now = () => now() / 20;
    window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 250);
    window.cancelAnimationFrame = clearTimeout;
"""
"""Without a GPU the page would take all processors for its frames: it draws four a second. Where it counts few
of them it draws fewer pixels; with a slow clock it counts many."""
PATIENCE = 120.0
"""Seconds until a picture counts as never coming."""


FAILED = Path(tempfile.gettempdir()) / "viewer.png"
"""Where the page is kept that a picture was waited for in vain."""


def find_chromium() -> str | None:
    """The system's Chromium or Chrome."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Chromium without a window and without a GPU."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(SOFTWARE_GL))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def serve(config_path: Path) -> Iterator[Viewer]:
    """`ns-viewer` on a run, in this process."""
    config, pipeline, _, step = eval_setup(config_path)
    settings = ViewerConfig(websocket_host=HERE, websocket_port=free_port(), num_rays_per_chunk=-1)
    log = config.get_base_dir() / settings.relative_log_filename
    datapath = pipeline.datamanager.get_datapath()
    viewer = Viewer(settings, log, datapath, pipeline, train_lock=Lock())
    config.logging.local_writer.enable = False
    writer.setup_local_writer(config.logging, max_iter=config.max_num_iterations, banner_messages=None)
    assert pipeline.datamanager.train_dataset is not None
    viewer.init_scene(pipeline.datamanager.train_dataset, "completed", pipeline.datamanager.eval_dataset)
    viewer.update_scene(step)
    try:
        yield viewer
    finally:
        viewer.viser_server.stop()


def free_port() -> int:
    """A port of this machine that nobody listens to."""
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return probe.getsockname()[1]


class Tab:
    """A page of the viewer, as a user sees it."""

    def __init__(self, browser: Browser, viewer: Viewer, width: int = 720, height: int = 420) -> None:
        self.viewer = viewer
        known = set(viewer.viser_server.get_clients())
        self.page: Page = browser.new_page(viewport={"width": width, "height": height})
        self.page.set_default_timeout(1000.0 * PATIENCE)
        self._canvas = self.page.locator("canvas[data-engine]")
        self.page.add_init_script(SPARING)
        self.page.goto(f"http://{HERE}:{viewer.config.websocket_port}")
        self.wait(lambda: len(set(viewer.viser_server.get_clients()) - known) > 0)
        (number,) = set(viewer.viser_server.get_clients()) - known
        self.client = viewer.viser_server.get_clients()[number]

    def write(self, label: str, text: str) -> None:
        """Types into the box of a label, of a slider too."""
        box = self.page.locator(f"xpath=//label[text()='{label}']/ancestor::*[.//input][1]//input[not(@type='hidden')]")
        box.last.fill(text)
        box.last.press("Enter")

    def press(self, button: str) -> None:
        """Presses a button."""
        self.page.get_by_role("button", name=button, exact=True).click()

    def click(self, row: float, column: float) -> None:
        """Clicks into the canvas."""
        box = self._canvas.bounding_box()
        assert box is not None
        self.page.mouse.click(box["x"] + column, box["y"] + row)

    def choose(self, output: str) -> None:
        """Chooses the output that is shown."""
        self.page.locator("xpath=//label[text()='Output type']/ancestor::*[.//input][1]//input").first.click()
        self.page.get_by_role("option", name=output, exact=True).click()

    def look_from(self, camera: Cameras) -> None:
        """Moves to a camera of the scene."""
        pose = camera.camera_to_worlds[0].double().numpy()
        turned = viser.transforms.SO3.from_matrix(pose[:3, :3]) @ viser.transforms.SO3.from_x_radians(np.pi)
        with self.client.atomic():
            self.client.camera.position = pose[:3, 3] * VISER_NERFSTUDIO_SCALE_RATIO
            self.client.camera.wxyz = turned.wxyz
        asked = self.client.camera.update_timestamp
        self.wait(lambda: self.client.camera.update_timestamp > asked)  # The page tells where it is now.

    def camera(self, height: int, width: int) -> Cameras:
        """What the page looks from."""
        return get_camera(self.viewer.get_camera_state(self.client), height, width)

    def pixels(self) -> UInt8[np.ndarray, "h w 3"]:
        """The canvas."""
        return np.asarray(Image.open(io.BytesIO(self._canvas.screenshot())).convert("RGB"))

    def until(self, true: Callable[[UInt8[np.ndarray, "h w 3"]], bool]) -> UInt8[np.ndarray, "h w 3"]:
        """The canvas, as soon as something is true of it."""
        picture = self.pixels()
        deadline = time.monotonic() + PATIENCE
        while not true(picture):
            if time.monotonic() > deadline:
                self.page.screenshot(path=FAILED)
                raise TimeoutError(f"the viewer did not show what it was asked for but {FAILED}")
            self.page.wait_for_timeout(300)
            picture = self.pixels()
        return picture

    def settled(self) -> UInt8[np.ndarray, "h w 3"]:
        """The canvas, once it is drawn in full and has stayed as it is for a second."""
        self.page.wait_for_timeout(1000)  # Until what was done last has reached the server.
        machine, lock = self.viewer.render_statemachines[self.client.client_id], self.viewer.train_lock
        resting: list[UInt8[np.ndarray, "h w 3"]] = []

        def at_rest(picture: UInt8[np.ndarray, "h w 3"]) -> bool:
            """Whether the server had nothing to do since before the picture that is the same and a second older."""
            waiting = machine.next_action is not None or (lock is not None and lock.locked())
            if machine.state != "high" or waiting:
                resting.clear()
                return False
            resting.append(picture)
            self.page.wait_for_timeout(1000)
            return len(resting) > 2 and np.array_equal(resting[-2], picture)

        return self.until(at_rest)

    def wait(self, true: Callable[[], bool]) -> None:
        """Until something is true."""
        deadline = time.monotonic() + PATIENCE
        while not true():
            if time.monotonic() > deadline:
                raise TimeoutError("the viewer did not show what it was asked for")
            self.page.wait_for_timeout(100)

    def wait_for_text(self, text: str) -> None:
        """Until a text is to be read somewhere on the page."""
        self.page.get_by_text(text).first.wait_for()
