"""Makes README's pictures of the viewer from what `make demo` left in outputs/demo; needs Chromium."""

import io
from pathlib import Path
from typing import Any

import tyro
from PIL import Image
from playwright.sync_api import Browser

from ovs3d.run_folder import find_run
from ovs3d.viewer.legend import FOLDED
from tools.browser import Tab, serve, start_browser


def main(demo: Path = Path("outputs/demo"), out: Path = Path("docs/figures"), view: int = 3) -> None:
    """Writes OUT/viewer-words.png, OUT/viewer-classes.png and OUT/viewer-picked.png.

    Args:
        demo: folder of the demo's results.
        out: folder of the figures.
        view: training view that is looked from.
    """
    with start_browser() as browser:
        draw(browser, find_run(demo), out, view)


def draw(browser: Browser, config_path: Path, out: Path, view: int) -> None:
    """Asks a run for two of its classes, switches one off and picks the middle of the view."""
    out.mkdir(parents=True, exist_ok=True)
    with serve(config_path) as viewer:
        tab = Tab(browser, viewer, width=1200, height=720)
        for handle in viewer.camera_handles.values():
            handle.visible = False
        pipeline: Any = viewer.pipeline
        tab.look_from(pipeline.datamanager.train_dataset.cameras[view : view + 1])
        classes = pipeline.model.config.classes
        if len(classes) > FOLDED:
            tab.page.get_by_text("Classes", exact=True).click()
        tab.write("Words", ", ".join(classes[:2]))
        tab.wait_for_text("Shown:")
        save(tab, out / "viewer-words.png")
        tab.choose("segmentation")
        tab.press(classes[0])
        save(tab, out / "viewer-classes.png")
        tab.press("Pick a place")
        tab.click(*(side / 2 for side in tab.pixels().shape[:2]))
        tab.wait_for_text("the place that you picked")
        save(tab, out / "viewer-picked.png")


def save(tab: Tab, path: Path) -> None:
    """Writes what the page shows, once it is drawn in full."""
    tab.settled()
    picture = Image.open(io.BytesIO(tab.page.screenshot())).convert("RGB")
    picture.quantize(192).save(path, optimize=True)


if __name__ == "__main__":
    tyro.cli(main)
