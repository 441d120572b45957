"""`ovs3d render`: what it shows, from where, and with which words."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ovs3d.cli.main import main
from ovs3d.errors import UserError
from ovs3d.evaluation.figures import relevancy_to_rgb
from ovs3d.export.frames import depth_limits, painter
from ovs3d.export.video import read_frames
from ovs3d.palette import class_colours
from ovs3d.query.ask import Query
from ovs3d.query.result import OUTSIDE
from ovs3d.scene import Scene
from tests.end_to_end.box_scene import CLASSES, HEIGHT, WIDTH


def frames_of(run: Path, out: Path, *flags: str) -> np.ndarray:
    assert main(["render", str(run), "--out", str(out), "--frames", "3", *flags]) == 0
    return read_frames(out)


@pytest.mark.parametrize(
    ("flags", "panels", "legend"),
    [
        ([], 3, True),
        (["--show", "overlay"], 1, True),
        (["--show", "depth"], 1, False),
        (["--show", "pca"], 1, False),
        (["--show", "overlay", "--query", "red box"], 1, False),
        (["--show", "relevancy", "--query", "red box"], 1, False),
        (["--show", "overlay", "--classes", "room", "red box"], 1, True),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_every_way_to_show_has_its_panels(
    flags: list[str], panels: int, legend: bool, run: Path, tmp_path: Path
) -> None:
    frames = frames_of(run, tmp_path / "a.mp4", *flags)
    assert len(frames) == 3 and frames.shape[2] == panels * WIDTH
    assert (frames.shape[1] > HEIGHT) == legend
    assert frames.std() > 5.0 and not np.array_equal(frames[0], frames[1])


def test_held_out_path_shows_the_held_out_cameras_in_their_order(run: Path, scene: Scene, tmp_path: Path) -> None:
    frames = frames_of(run, tmp_path / "a.mp4", "--path", "held-out", "--show", "depth")
    assert len(frames) == len(scene.held_out_outputs.cameras) == 2
    paint = painter(scene, "depth")
    expected = np.stack([paint(scene.held_out_outputs.cameras[index : index + 1]) for index in range(2)]).astype(int)
    error = np.abs(frames[:, None].astype(int) - expected).mean(axis=(2, 3, 4))
    assert error[0, 0] < 0.5 * error[0, 1] and error[1, 1] < 0.5 * error[1, 0]


def test_pictures_are_as_large_as_asked(run: Path, tmp_path: Path) -> None:
    frames = frames_of(run, tmp_path / "a.mp4", "--side", str(WIDTH // 2), "--show", "depth")
    assert frames.shape == (3, HEIGHT // 2, WIDTH // 2, 3)


def test_query_alone_is_painted_where_it_is_found(scene: Scene) -> None:
    camera = scene.held_out_outputs.cameras[0:1]
    answer = scene.query("red box", camera)
    frame = painter(scene, "overlay", Query("red box"))(camera)
    rgb = 255.0 * answer.rgb.numpy()
    np.testing.assert_allclose(frame, np.where(answer.mask.numpy()[..., None], rgb, OUTSIDE * rgb), atol=1.0)
    scores = painter(scene, "relevancy", Query("red box"))(camera)
    assert np.array_equal(scores, relevancy_to_rgb(answer.scores.numpy(), 0.0, 1.0))


def test_features_of_one_class_have_one_colour_that_stays(scene: Scene) -> None:
    cameras = scene.train_outputs.cameras
    paint, means = painter(scene, "pca"), []
    for index in (0, 4):
        camera = cameras[index : index + 1]
        labels, frame = scene.segment(camera).labels.numpy(), paint(camera).astype(float)
        means.append([frame[labels == label].mean(axis=0) for label in range(len(CLASSES))])
    first, second = np.array(means)
    between = np.abs(first[:, None] - first[None]).max(axis=-1)[~np.eye(len(CLASSES), dtype=bool)]
    assert np.abs(first - second).max() < 40.0 < between.min()


def test_depth_is_painted_from_near_to_far(scene: Scene) -> None:
    camera = scene.held_out_outputs.cameras[0:1]
    depth = scene.segment(camera).depth
    low, high = depth_limits(depth)
    expected = relevancy_to_rgb(-depth.numpy(), -high, -low)
    assert np.abs(painter(scene, "depth")(camera).astype(int) - expected).max() <= 8


def test_other_words_segment_a_trained_run(scene: Scene) -> None:
    camera = scene.held_out_outputs.cameras[0:1]
    words = ["a box: blue box | red box", "room", "door"]
    other = scene.with_classes(words)
    assert other.classes == ("a box", "room", "door") and scene.classes == CLASSES
    found, own = other.segment(camera), scene.segment(camera)
    boxes = (own.labels == CLASSES.index("red box")) | (own.labels == CLASSES.index("blue box"))
    assert ((found.labels == 0) == boxes)[own.labels != CLASSES.index("green box")].float().mean() > 0.97
    expected = scene.relevancy(["room", "door"], camera)
    assert found.scores is not None and torch.equal(found.scores.argmax(dim=-1), found.labels)
    torch.testing.assert_close(found.scores[..., 1:], expected, atol=1e-5, rtol=0.0)
    assert other.prototypes.vectors.shape[0] == 3
    # What a word stands against are the other words of that scene.
    asked = scene.with_classes(["blue box", "room", "door"]).query("door", camera)
    against = scene.query("door", camera, negatives=["blue box", "room"])
    torch.testing.assert_close(asked.judged.scores, against.judged.scores, atol=1e-5, rtol=0.0)
    unlike = scene.query("door", camera)
    assert (asked.judged.scores - unlike.judged.scores).abs().max() > 0.01
    with pytest.raises(UserError, match="at least 2"):
        scene.with_classes(["room"])


def test_legend_has_the_words_that_were_given(run: Path, tmp_path: Path) -> None:
    frames = frames_of(run, tmp_path / "a.mp4", "--show", "overlay", "--classes", "door", "room")
    legend = frames[0, HEIGHT:].astype(int)
    for colour in class_colours(2).astype(int):
        assert (np.abs(legend - colour).max(axis=-1) < 40).sum() > 30


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--show", "relevancy"], "--query"),
        (["--show", "depth", "--query", "red box"], "shows no words"),
        (["--show", "pca", "--classes", "room", "door"], "shows no words"),
        (["--classes", "room"], "at least 2"),
        (["--classes", "room", "unicorn"], "unicorn"),
        (["--path", "circle"], "orbit, held-out"),
        (["--without", "unicorn"], "unicorn"),
        (["--frames", "0"], "--frames 0"),
        (["--frames", "-3"], "--frames -3"),
        (["--fps", "0"], "--fps 0"),
        (["--side", "0"], "--side 0"),
        (["--query", " "], "empty word"),
        (["--device", "bogus"], "no device bogus"),
    ],
)
def test_bad_input_is_one_sentence_also_as_json(
    flags: list[str], named: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["render", str(run), "--out", str(tmp_path / "a.mp4"), *flags]
    assert main(command) == 2
    printed = capsys.readouterr().err.strip()
    assert named in printed and "\n" not in printed
    assert main([*command, "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {"error": printed}
    assert list(tmp_path.iterdir()) == []


def test_scene_renders_the_frames_of_the_command(scene: Scene) -> None:
    camera = scene.held_out_outputs.cameras[0:1]
    assert np.array_equal(scene.render(camera), painter(scene)(camera))
    found = scene.render(camera, "overlay", query="red box")
    assert np.array_equal(found, painter(scene, "overlay", Query("red box"))(camera)) and found.shape == (
        HEIGHT,
        WIDTH,
        3,
    )
