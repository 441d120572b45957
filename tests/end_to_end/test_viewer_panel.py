"""The panel of the viewer in Chromium: what is typed, clicked and switched is seen in the canvas's pixels."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.viewer.viewer import Viewer

from ovs3d.relevancy import unit
from ovs3d.scene import Scene
from tests.end_to_end.box_scene import CLASSES, DIM

pytest.importorskip("playwright", reason="needs Playwright: pip install playwright")
from playwright.sync_api import Browser

from tools.browser import Tab, find_chromium, serve, start_browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium: apt-get install chromium"),
]
OPACITY = 0.6
CLEAR = 40
"""Difference of a channel, out of 255, beyond what the compression of pictures does."""


@pytest.fixture(scope="module")
def viewer(run: Path) -> Iterator[Viewer]:
    """The viewer on the trained run."""
    with serve(run / "config.yml") as viewer:
        yield viewer


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with start_browser() as browser:
        yield browser


@pytest.fixture
def tab(viewer: Viewer, browser: Browser, scene: Scene, capfd: pytest.CaptureFixture[str]) -> Iterator[Tab]:
    """A page that looks at the boxes, with nothing asked; the server must not have printed a traceback at its end."""
    tab = Tab(browser, viewer)
    look_at_boxes(tab, scene)
    tab.write("Words", "")
    tab.write("Negatives", "")
    tab.wait_for_text("Type words")
    tab.choose("rgb")
    tab.settled()
    yield tab
    tab.page.close()
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err


def look_at_boxes(tab: Tab, scene: Scene) -> None:
    for handle in tab.viewer.camera_handles.values():
        handle.visible = False
    tab.look_from(scene.held_out_outputs.cameras[0:1])


def expected_mask(tab: Tab, scene: Scene, word: str) -> np.ndarray:
    """Where the run finds a word, in the pixels of the canvas."""
    return scene.query(word, canvas_camera(tab)).mask.numpy()


def canvas_camera(tab: Tab) -> Cameras:
    return tab.camera(*tab.pixels().shape[:2])


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after.astype(int) - before.astype(int)).max(axis=-1) > CLEAR


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union."""
    return (first & second).sum() / (first | second).sum()


def test_word_lights_up_where_it_is(tab: Tab, scene: Scene) -> None:
    before = tab.settled()
    tab.write("Words", "green box")
    tab.wait_for_text("Shown: green box")
    assert tab.viewer.control_panel.output_render == "relevancy"
    lit = changed(before, tab.settled())
    assert overlap(lit, expected_mask(tab, scene, "green box")) > 0.8


def test_several_words_have_a_colour_each(tab: Tab, scene: Scene) -> None:
    tab.write("Words", "red box, blue box ,red box")
    tab.wait_for_text("Shown:")
    assert tab.page.get_by_text("Shown:").inner_text() == "Shown: \u25a0 red box, \u25a0 blue box."
    picture = tab.settled().astype(float)
    for word, colour in zip(("red box", "blue box"), scene.model.colours.numpy(), strict=False):
        pixels = picture[expected_mask(tab, scene, word)]
        off = (pixels - OPACITY * 255.0 * colour).mean(axis=0)  # The rest is the picture's own colour.
        assert (off > -15).all() and (off < (1.0 - OPACITY) * 255.0 + 15).all()


def test_threshold_and_opacity_of_what_is_painted(tab: Tab) -> None:
    plain = tab.settled()
    tab.write("Words", "red box")
    tab.wait_for_text("Shown: red box")
    half = tab.settled()
    tab.write("Threshold", "0")
    everywhere = tab.settled()
    assert changed(plain, half).mean() < 0.5 < changed(plain, everywhere).mean()
    tab.write("Threshold", "1")
    assert changed(plain, tab.settled()).mean() < 0.01
    tab.write("Threshold", "0")
    tab.write("Opacity", "0")
    assert changed(plain, tab.settled()).mean() < 0.01
    tab.write("Threshold", "0.5")
    tab.write("Opacity", str(OPACITY))


def test_class_that_is_switched_off_shows_its_colour(tab: Tab, scene: Scene) -> None:
    plain = tab.settled()
    tab.choose("segmentation")
    painted = tab.settled()
    tab.press("green box")
    without = tab.settled()
    region = scene.segment(canvas_camera(tab)).labels.numpy() == CLASSES.index("green box")
    assert overlap(changed(painted, without), region) > 0.7
    assert changed(plain, without)[region].mean() < 0.05
    tab.press("green box")
    assert changed(painted, tab.settled()).mean() < 0.01
    tab.press("Show all / none")
    tab.press("Show all / none")
    assert changed(painted, tab.settled()).mean() < 0.01


def test_picked_place_finds_what_is_like_it(tab: Tab, scene: Scene) -> None:
    before = tab.settled()
    region = scene.segment(canvas_camera(tab)).labels.numpy() == CLASSES.index("red box")
    rows, columns = np.nonzero(region)
    tab.press("Pick a place")
    tab.wait_for_text("Click into the view")
    middle = len(rows) // 2
    tab.click(float(rows[middle]), float(columns[middle]))
    tab.wait_for_text("Shown: the place that you picked")
    assert overlap(changed(before, tab.settled()), region) > 0.7


@pytest.mark.parametrize("word", ["\u0434\u0432\u0435\u0440\u044c \U0001f6aa", "<img src=x> {1+1} `a` import x"])
def test_word_that_the_vocabulary_lacks_is_named_in_the_panel(tab: Tab, word: str) -> None:
    plain = tab.settled()
    tab.write("Words", word)
    tab.wait_for_text("is not a word of")
    assert word in tab.page.get_by_text("is not a word of").inner_text()
    assert changed(plain, tab.settled()).mean() < 0.01
    tab.write("Words", "red box, " + word)
    tab.wait_for_text("Shown: red box")
    assert word in tab.page.get_by_text("is not a word of").inner_text()


def test_without_words_the_panel_tells_what_to_do(tab: Tab) -> None:
    plain = tab.settled()
    tab.write("Words", "red box")
    tab.wait_for_text("Shown: red box")
    tab.write("Words", " ,, ")
    tab.wait_for_text("Type words")
    assert changed(plain, tab.settled()).mean() < 0.01


def test_two_hundred_words_in_any_script(tab: Tab, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    known = scene.text_encoder

    class AnyWord:
        """The classes as they are, and every other word as some vector."""

        space, dim = known.space, known.dim

        def encode_text(self, words: list[str]) -> torch.Tensor:
            vectors = [known.encode_text([word]) if word in CLASSES else unit(torch.randn(1, DIM)) for word in words]
            return torch.cat(vectors)

    monkeypatch.setitem(tab.viewer.pipeline.panel._asker.scene.__dict__, "text_encoder", AnyWord())
    tab.write("Words", ", ".join(f"\u7269{number}" for number in range(199)) + ", red box")
    tab.wait_for_text("and 180 more")
    picture = tab.settled()
    assert "\u72690" in tab.page.get_by_text("Shown:").inner_text()
    assert picture.std() > 10


def test_negatives_change_the_answer(tab: Tab, scene: Scene) -> None:
    tab.write("Words", "red box")
    tab.wait_for_text("Shown: red box")
    before = tab.settled()
    tab.write("Negatives", "red box")
    tab.page.wait_for_timeout(1500)
    assert changed(before, tab.settled()).any()


def test_selection_and_pca_are_pictures_of_their_own(tab: Tab, scene: Scene) -> None:
    plain = tab.settled()
    tab.choose("selection")
    selection = tab.settled()
    tab.choose("pca")
    colours = tab.settled()
    assert changed(plain, selection).mean() > 0.5 and changed(plain, colours).mean() > 0.3
    labels = scene.segment(canvas_camera(tab)).labels.numpy()
    means = np.stack([colours[labels == index].mean(axis=0) for index in range(len(CLASSES))])
    distances = np.linalg.norm(means[:, None] - means, axis=-1)[np.triu_indices(len(CLASSES), 1)]
    assert distances.min() > CLEAR  # Classes of their own have colours of their own.


def test_two_browsers_share_the_panel_and_look_from_where_they_like(
    tab: Tab, viewer: Viewer, browser: Browser, scene: Scene
) -> None:
    other = Tab(browser, viewer)
    other.look_from(scene.held_out_outputs.cameras[1:2])
    first, second = tab.settled(), other.settled()
    other.write("Words", "blue box")
    for page, before in ((tab, first), (other, second)):
        page.wait_for_text("Shown: blue box")
        lit = changed(before, page.settled())
        assert overlap(lit, expected_mask(page, scene, "blue box")) > 0.8
    other.page.close()
    tab.write("Words", "red box")
    tab.wait_for_text("Shown: red box")
    assert overlap(changed(first, tab.settled()), expected_mask(tab, scene, "red box")) > 0.8
