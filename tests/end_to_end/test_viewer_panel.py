"""The panel of the viewer in Chromium: what is typed, clicked and switched is seen in the canvas's pixels."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.viewer.viewer import Viewer
from PIL import Image

from ovs3d.relevancy import unit
from ovs3d.scene import Scene
from tests.end_to_end.box_scene import CLASSES, DIM

pytest.importorskip("playwright", reason="needs Playwright: pip install playwright")
from playwright.sync_api import Browser

from tools.browser import Tab, find_chromium, serve, start_browser
from tools.viewer_figures import draw

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="needs Chromium: apt-get install chromium"),
]
OPACITY = 0.6
CLEAR = 40
"""Difference of a channel, out of 255, beyond what the compression of pictures does."""


@pytest.fixture(scope="module")
def viewer(run: Path) -> Iterator[Viewer]:
    """The viewer on the trained run, with small pictures."""
    with serve(run / "config.yml") as viewer:
        viewer.control_panel._max_res.value = 164
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
    for handle in viewer.camera_handles.values():
        handle.visible = False
    tab.look_from(scene.held_out_outputs.cameras[0:1])
    tab.write("Words", "room")  # Takes the place of one that was picked.
    tab.wait_for_text("Shown: room")  # The page sends the last of values that follow each other fast.
    tab.write("Words", "")
    tab.write("Negatives", "")
    tab.wait_for_text("Type words")
    tab.choose("rgb")
    yield tab
    printed = capfd.readouterr()  # Before the page closes: the host may still look for the camera of one that is gone.
    tab.page.close()
    assert "Traceback" not in printed.out + printed.err


def canvas_camera(tab: Tab) -> Cameras:
    return tab.camera(*tab.pixels().shape[:2])


def found(tab: Tab, scene: Scene, word: str) -> np.ndarray:
    """Where the run finds a word, in the pixels of the canvas."""
    return scene.query(word, canvas_camera(tab)).mask.numpy()


def pixels_of(tab: Tab, scene: Scene, name: str) -> np.ndarray:
    """Where the run sees a class, in the pixels of the canvas."""
    return scene.segment(canvas_camera(tab)).labels.numpy() == CLASSES.index(name)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.abs(after.astype(int) - before.astype(int)).max(axis=-1) > CLEAR


def same(before: np.ndarray) -> Callable[[np.ndarray], bool]:
    """Whether a picture is another one, but for some pixels at borders."""
    return lambda after: bool(changed(before, after).mean() < 0.01)


def alike(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two masks cover mostly the same pixels; pictures are smaller than the canvas."""
    return bool((first & second).sum() > 0.7 * (first | second).sum())


def test_word_lights_up_where_it_is(tab: Tab, scene: Scene) -> None:
    before = tab.settled()
    tab.write("Words", "green box")
    tab.wait_for_text("Shown: green box")
    assert tab.viewer.control_panel.output_render == "relevancy"
    mask = found(tab, scene, "green box")
    tab.until(lambda picture: alike(changed(before, picture), mask))


def test_several_words_have_a_colour_each(tab: Tab, scene: Scene) -> None:
    tab.write("Words", "red box, blue box ,red box")
    tab.wait_for_text("Shown:")
    assert tab.page.get_by_text("Shown:").inner_text() == "Shown: \u25a0 red box, \u25a0 blue box."
    masks = [found(tab, scene, word) for word in ("red box", "blue box")]

    def coloured(picture: np.ndarray) -> bool:
        """Whether what the picture has besides the colours of the words can be the picture's own."""
        rest = [
            picture[mask].mean(axis=0) - OPACITY * 255.0 * colour
            for mask, colour in zip(masks, scene.model.colours.numpy(), strict=False)
        ]
        return all((-15 < each).all() and (each < (1.0 - OPACITY) * 255.0 + 15).all() for each in rest)

    tab.until(coloured)


def test_threshold_and_opacity_of_what_is_painted(tab: Tab) -> None:
    plain = tab.settled()
    tab.write("Words", "red box")
    half = tab.until(lambda picture: not same(plain)(picture))
    assert changed(plain, half).mean() < 0.5
    tab.write("Threshold", "0")
    tab.until(lambda picture: changed(plain, picture).mean() > 0.5)
    tab.write("Threshold", "1")
    tab.until(same(plain))
    tab.write("Threshold", "0")
    tab.until(lambda picture: not same(plain)(picture))
    tab.write("Opacity", "0")
    tab.until(same(plain))
    tab.write("Threshold", "0.5")
    tab.write("Opacity", str(OPACITY))
    tab.until(lambda picture: not same(plain)(picture))  # Else the next page may come before the last value.


def test_class_that_is_switched_off_shows_its_colour(tab: Tab, scene: Scene) -> None:
    """Of the red box, which is painted blue: painting the green box, which is painted green, changes little."""
    plain = tab.settled()
    tab.choose("segmentation")
    tab.until(lambda picture: not same(plain)(picture))
    painted = tab.settled()
    region = pixels_of(tab, scene, "red box")
    tab.press("red box")

    def unpainted(picture: np.ndarray) -> bool:
        """Whether nothing but the box has changed, which looks as it is but for the colours around its border."""
        return alike(changed(painted, picture), region) and changed(plain, picture)[region].mean() < 0.2

    tab.until(unpainted)
    tab.press("red box")
    tab.until(same(painted))
    tab.press("Show all / none")
    tab.until(same(plain))
    tab.press("Show all / none")
    tab.until(same(painted))


def test_picked_place_finds_what_is_like_it(tab: Tab, scene: Scene) -> None:
    """Of the green box, over which the red of a high score is well seen."""
    before = tab.settled()
    region = pixels_of(tab, scene, "green box")
    rows, columns = np.nonzero(region)
    tab.press("Pick a place")
    tab.wait_for_text("Click into the view")
    tab.click(float(np.median(rows)), float(np.median(columns)))
    tab.wait_for_text("Shown: the place that you picked")
    tab.until(lambda picture: alike(changed(before, picture), region))


@pytest.mark.parametrize("word", ["\u0434\u0432\u0435\u0440\u044c \U0001f6aa", "<img src=x> {1+1} `a` import x"])
def test_word_that_the_vocabulary_lacks_is_named_in_the_panel(tab: Tab, word: str) -> None:
    plain = tab.settled()
    tab.write("Words", word)
    tab.wait_for_text("is not a word of")
    assert word in tab.page.get_by_text("is not a word of").inner_text()
    assert same(plain)(tab.settled())
    tab.write("Words", "red box, " + word)
    tab.wait_for_text("Shown: red box")
    assert word in tab.page.get_by_text("is not a word of").inner_text()
    tab.until(lambda picture: not same(plain)(picture))


def test_without_words_the_panel_tells_what_to_do(tab: Tab) -> None:
    plain = tab.settled()
    tab.write("Words", "red box")
    tab.until(lambda picture: not same(plain)(picture))
    tab.write("Words", " ,, ")
    tab.wait_for_text("Type words")
    tab.until(same(plain))


def test_two_hundred_words_in_any_script(tab: Tab, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    known, generator = scene.text_encoder, torch.Generator().manual_seed(0)

    class AnyWord:
        """The classes as they are, and every other word as some vector."""

        space, dim = known.space, known.dim

        def encode_text(self, words: list[str]) -> torch.Tensor:
            vectors = [
                known.encode_text([word]) if word in CLASSES else unit(torch.randn(1, DIM, generator=generator))
                for word in words
            ]
            return torch.cat(vectors)

    plain = tab.settled()
    panel: Any = tab.viewer.pipeline.panel
    monkeypatch.setitem(panel._asker.scene.__dict__, "text_encoder", AnyWord())
    tab.write("Words", ", ".join(f"\u7269{number}" for number in range(199)) + ", red box")
    tab.wait_for_text("and 180 more")
    assert "\u72690" in tab.page.get_by_text("Shown:").inner_text()
    tab.until(lambda picture: changed(plain, picture).mean() > 0.3)


def test_negatives_are_what_it_is_not(tab: Tab) -> None:
    plain = tab.settled()
    tab.write("Words", "red box")
    tab.until(lambda picture: not same(plain)(picture))
    tab.write("Negatives", "red box")  # Nothing is more like it than like itself.
    tab.until(same(plain))


def test_selection_and_pca_are_pictures_of_their_own(tab: Tab, scene: Scene) -> None:
    plain = tab.settled()
    tab.choose("selection")
    tab.until(lambda picture: changed(plain, picture).mean() > 0.5)
    tab.choose("pca")
    labels = scene.segment(canvas_camera(tab)).labels.numpy()

    def tells_classes_apart(picture: np.ndarray) -> bool:
        means = np.stack([np.median(picture[labels == index], axis=0) for index in range(len(CLASSES))])
        distances = np.linalg.norm(means[:, None] - means, axis=-1)[np.triu_indices(len(CLASSES), 1)]
        return bool(distances.min() > CLEAR and changed(plain, picture).mean() > 0.3)

    tab.until(tells_classes_apart)


def test_two_browsers_share_the_panel_and_look_from_where_they_like(
    tab: Tab, viewer: Viewer, browser: Browser, scene: Scene
) -> None:
    other = Tab(browser, viewer)
    other.look_from(scene.held_out_outputs.cameras[1:2])
    before = {page: page.settled() for page in (tab, other)}
    other.write("Words", "blue box")
    for page, picture in before.items():
        page.wait_for_text("Shown: blue box")
        mask = found(page, scene, "blue box")
        page.until(lambda now, was=picture, mask=mask: alike(changed(was, now), mask))
    other.page.close()
    tab.write("Words", "green box")
    mask = found(tab, scene, "green box")
    tab.until(lambda now: alike(changed(before[tab], now), mask))


def test_pictures_of_the_readme_are_made(browser: Browser, run: Path, tmp_path: Path) -> None:
    draw(browser, run / "config.yml", tmp_path, view=0)
    for name in ("viewer-words.png", "viewer-classes.png", "viewer-picked.png"):
        assert Image.open(tmp_path / name).size == (1200, 720)
