"""A box left out of the trained run, and a box alone: other pixels stay as they are, from every camera."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from ovs3d.cli.main import main
from ovs3d.errors import UserError
from ovs3d.export.video import read_frames
from ovs3d.scene import Scene
from ovs3d.views import View
from tests.end_to_end.box_scene import CLASSES, HEIGHT, WIDTH

NAME = "red box"
BOX = CLASSES.index(NAME)


@pytest.fixture(scope="module")
def views(scene: Scene) -> list[View]:
    return list(scene.held_out())


def around(where: torch.Tensor, pixels: int) -> torch.Tensor:
    return torch.from_numpy(binary_dilation(where.numpy(), iterations=pixels))


def test_box_left_out_is_gone_and_the_rest_stays(scene: Scene, views: list[View]) -> None:
    without = scene.edited(without=[NAME])
    for view in views:
        assert view.labels is not None
        before, after = scene.segment(view.camera, with_scores=False), without.segment(view.camera, with_scores=False)
        box = view.labels == BOX
        assert box.sum() > 20
        change = (after.rgb - before.rgb).abs().amax(dim=-1)
        assert (change[box] > 0.1).float().mean() > 0.7, "its pixels change"
        far = ~around(box, 4)
        assert (change[far] < 0.02).float().mean() > 0.93 and change[far].mean() < 0.02, "others do not"
        assert (after.labels == BOX).float().mean() < 0.2 * (before.labels == BOX).float().mean()
        assert (after.depth[box] > before.depth[box]).float().mean() > 0.7, "what stood behind it is seen"
        red = after.rgb[..., 0] - after.rgb[..., 1]
        assert red[box].median() < 0.25 < (before.rgb[..., 0] - before.rgb[..., 1])[box].median()


def test_box_kept_is_alone(scene: Scene, views: list[View]) -> None:
    alone = scene.edited(keep=[NAME])
    for view in views:
        assert view.labels is not None
        before, after = scene.segment(view.camera), alone.segment(view.camera)
        box = view.labels == BOX
        elsewhere = ~around(box, 3)
        inside = ~around(~box, 2)
        empty = (after.rgb - 0.5).abs().amax(dim=-1) <= 0.02
        assert empty[elsewhere].float().mean() > 0.99
        assert (after.labels[empty] == -1).all() and after.depth[empty].isinf().all()
        assert torch.equal(alone.look(view.camera)[1], after.depth)
        assert (after.labels[inside] == BOX).float().mean() > 0.9
        assert (after.rgb - before.rgb)[inside].abs().mean() < 0.03


def test_words_are_those_of_queries(scene: Scene, views: list[View]) -> None:
    camera = views[0].camera
    several = scene.edited(without=[NAME.upper(), "blue box"]).segment(camera, with_scores=False)
    one_by_one = scene.edited(without=[NAME]).edited(without=["blue box"]).segment(camera, with_scores=False)
    assert (several.labels == one_by_one.labels).float().mean() > 0.93
    gone = (several.labels == BOX) | (several.labels == CLASSES.index("blue box"))
    assert gone.float().mean() < 0.04 and (several.labels == CLASSES.index("green box")).sum() > 20
    both = scene.edited(keep=[NAME, "blue box"], without=["blue box"]).segment(camera, with_scores=False)
    assert (both.labels == scene.edited(keep=[NAME]).segment(camera).labels).float().mean() > 0.93
    with pytest.raises(UserError, match=r"'door'"):
        scene.with_classes([*CLASSES, "door"]).edited(without=["door"])
    with pytest.raises(UserError, match="unicorn"):
        scene.edited(keep=["unicorn"])


def test_edited_scene_answers_questions_of_what_is_left(scene: Scene, views: list[View]) -> None:
    view = max(views, key=lambda view: 0 if view.labels is None else int((view.labels == BOX).sum()))
    without, alone = scene.edited(without=[NAME]), scene.edited(keep=[NAME])
    found, left = scene.query(NAME, view.camera).mask, without.query(NAME, view.camera).mask
    assert found.sum() > 20 and left.sum() < 0.2 * found.sum()
    assert not alone.query("green box", view.camera).found
    assert (alone.features(view.camera)[alone.segment(view.camera).labels == -1] == 0.0).all()
    # What is like a thing is known from the whole scene.
    assert torch.equal(alone.prototypes.vectors, scene.prototypes.vectors)


def test_whole_scene_is_left_as_it_was(scene: Scene, views: list[View]) -> None:
    before = scene.segment(views[0].camera)
    scene.edited(keep=[NAME]).segment(views[0].camera)
    after = scene.segment(views[0].camera)
    assert torch.equal(before.rgb, after.rgb) and torch.equal(before.labels, after.labels)


def test_command_renders_an_edited_scene(run: Path, scene: Scene, views: list[View], tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"
    flags = ["--without", NAME, "blue box", "--keep", NAME, "green box", "--path", "held-out", "--show", "overlay"]
    assert main(["render", str(run), "--out", str(out), *flags]) == 0
    frames = read_frames(out)
    assert len(frames) == len(views) and frames.shape[2] == WIDTH and frames.shape[1] > HEIGHT
    kept = [(view.labels == CLASSES.index("green box")).numpy() for view in views if view.labels is not None]
    for frame, green in zip(frames, kept, strict=True):
        grey = np.abs(frame[:HEIGHT].astype(int) - 128).max(axis=-1) < 12
        assert grey[~around(torch.from_numpy(green), 4).numpy()].mean() > 0.95 and grey[green].mean() < 0.2


def test_command_names_what_is_not_found(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(run), "--out", str(tmp_path / "a.mp4"), "--without", "unicorn"]) == 2
    assert "unicorn" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
