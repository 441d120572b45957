"""Camera paths: a closed walk inside what was seen, and the viewer's files."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from nerfstudio.cameras.cameras import Cameras

from ovs3d.errors import UserError
from ovs3d.export.paths import camera_path, frames_per_second, path_from_file, smooth_path
from tests.end_to_end.camera_path import write_camera_path


def make_cameras(count: int, seed: int = 0) -> Cameras:
    """Cameras on a tilted ellipse that look at its centre, in shuffled order."""
    angles = torch.randperm(count, generator=torch.Generator().manual_seed(seed)) * 2.0 * math.pi / count
    positions = torch.stack([2.0 * angles.cos(), angles.sin(), 0.5 * angles.cos() + 1.0], dim=-1)
    backwards = torch.nn.functional.normalize(positions, dim=-1)
    right = torch.nn.functional.normalize(torch.linalg.cross(torch.tensor([[0.0, 0.0, 1.0]]), backwards), dim=-1)
    up = torch.linalg.cross(backwards, right)
    poses = torch.stack([right, up, backwards, positions], dim=-1)
    return Cameras(camera_to_worlds=poses, fx=50.0, fy=50.0, cx=20.0, cy=15.0, width=40, height=30)


@pytest.mark.parametrize(("count", "frames"), [(24, 60), (7, 40), (10, 10), (24, 48), (24, 3)])
def test_path_has_the_frames_asked_for(count: int, frames: int) -> None:
    path = smooth_path(make_cameras(count), frames)
    assert len(path) == frames
    assert (path.width == 40).all() and (path.height == 30).all() and torch.allclose(path.fx, torch.tensor(50.0))


def test_path_is_closed_smooth_and_near_the_cameras() -> None:
    cameras = make_cameras(24)
    path = smooth_path(cameras, 200).camera_to_worlds
    positions, seen = path[:, :, 3], cameras.camera_to_worlds[:, :, 3]
    steps = (positions.roll(-1, 0) - positions).norm(dim=-1)
    around = 2.0 * math.pi * 2.1  # The ellipse is shorter than the circle about it.
    assert steps.sum() < around and steps.max() < 8.0 * around / 200, "shuffled cameras are walked in order"
    assert torch.cdist(positions, seen).amin(dim=1).max() < 0.6
    assert (positions >= seen.amin(dim=0) - 1e-4).all() and (positions <= seen.amax(dim=0) + 1e-4).all()


def test_rotations_stay_rotations() -> None:
    rotations = smooth_path(make_cameras(12), 50).camera_to_worlds[:, :, :3]
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(len(rotations), 3, 3), atol=1e-4, rtol=0.0)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(len(rotations)), atol=1e-4, rtol=0.0)


def test_single_camera_stands_still() -> None:
    path = smooth_path(make_cameras(1), 4).camera_to_worlds
    assert len(path) >= 1 and path.isfinite().all()
    torch.testing.assert_close(path, path[:1].expand_as(path))


def test_file_of_the_viewer_is_read(tmp_path: Path) -> None:
    cameras = path_from_file(write_camera_path(tmp_path / "path.json", frames=3))
    assert len(cameras) == 3
    torch.testing.assert_close(cameras.camera_to_worlds[:, 0, 3], torch.tensor([0.0, 0.1, 0.2]))


SIZE = {"render_width": 40, "render_height": 30}
CAMERA = {"camera_to_world": [1.0] * 16, "fov": 50.0}


@pytest.mark.parametrize(
    "content",
    [
        None,
        "no json",
        b"\xff",
        "[" * 100_000,
        "[]",
        "{}",
        json.dumps({"camera_path": 3}),
        json.dumps({"camera_path": [{}]}),
        json.dumps({**SIZE, "camera_path": []}),
        json.dumps({**SIZE, "camera_path": [{**CAMERA, "fov": 0.0}]}),
        json.dumps({**SIZE, "camera_path": [{**CAMERA, "camera_to_world": [1.0] * 3}]}),
        json.dumps({**SIZE, "camera_path": [CAMERA], "camera_type": 3}),
        json.dumps({**SIZE, "camera_path": [CAMERA], "render_width": 0}),
    ],
    ids=lambda content: str(content)[:60],
)
def test_anything_else_is_named(content: str | bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "path.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=r"path\.json is no camera path"):
        path_from_file(path)


def paths_of(held_out: Cameras, path: str, **options: int) -> Cameras:
    """A path through cameras, held out from a scene that was trained on others."""
    train, held = (SimpleNamespace(cameras=cameras) for cameras in (make_cameras(12), held_out))
    scene = SimpleNamespace(train_outputs=train, held_out_outputs=held)
    return getattr(camera_path, "__wrapped__", camera_path)(
        cast(Any, scene), path, 20, **options
    )  # A stand-in is no scene.


@pytest.mark.parametrize(("seconds", "fps"), [(1.5, 2.0), (0, None), (None, None), ("x", None)])
def test_file_has_its_own_speed(seconds: object, fps: float | None, tmp_path: Path) -> None:
    path = write_camera_path(tmp_path / "path.json", frames=3)
    path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": seconds}))
    assert frames_per_second(str(path)) == fps
    assert frames_per_second("orbit") is None


def test_paths_by_name(tmp_path: Path) -> None:
    held_out = make_cameras(3, seed=1)
    assert len(paths_of(held_out, "orbit")) == 20
    assert torch.equal(paths_of(held_out, "held-out").camera_to_worlds, held_out.camera_to_worlds)
    given = write_camera_path(tmp_path / "path.json", frames=4)
    assert len(paths_of(held_out, str(given))) == 4


def test_pictures_have_the_longest_side_asked_for_and_do_not_grow(tmp_path: Path) -> None:
    held_out = make_cameras(3, seed=1)
    given = str(write_camera_path(tmp_path / "path.json", frames=4))
    for path in ("orbit", "held-out"):
        small, whole = paths_of(held_out, path, side=20), paths_of(held_out, path)
        assert (small.width == 20).all() and (small.height == 15).all()
        torch.testing.assert_close(small.fx, whole.fx / 2)
        torch.testing.assert_close(small.camera_to_worlds, whole.camera_to_worlds)
        assert (whole.width == 40).all() and (whole.height == 30).all(), "photographs are smaller than 800 pixels"
    assert torch.equal(paths_of(held_out, given, side=20).width, paths_of(held_out, given).width)


def test_held_out_photographs_of_several_sizes_are_refused() -> None:
    held_out = make_cameras(3)
    held_out.width = held_out.width.clone()  # It is one number for all.
    held_out.width[1] = 30
    with pytest.raises(UserError, match="several sizes"):
        paths_of(held_out, "held-out")
