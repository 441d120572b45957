"""Every bad input ends in one sentence, and nothing is written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from ovs3d.data.dataparser import OVS3DDataParserConfig
from ovs3d.data.validation import validate_scene
from ovs3d.errors import UserError
from tests.data.scene_writer import (
    HEIGHT,
    WIDTH,
    image_name,
    write_colmap,
    write_images,
    write_labels,
    write_llff,
    write_masks,
    write_transforms,
)

WORDS = ("a cone", "floor")


def snapshot(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def check(data: Path, **options) -> None:
    validate_scene(OVS3DDataParserConfig(data=data, **{"classes": WORDS, **options}))


def truncate(scene: Path) -> None:
    path = scene / "images" / image_name(2)
    path.write_bytes(path.read_bytes()[:-500])


def remove_images(scene: Path) -> None:
    for path in (scene / "images").iterdir():
        path.unlink()


def break_label(scene: Path) -> None:
    write_labels(scene, {4: np.full((HEIGHT, WIDTH), 9, np.uint8)}, list(WORDS))


def break_mask(scene: Path) -> None:
    write_masks(scene, {3: {"floor": np.ones((HEIGHT, WIDTH), bool)}}, list(WORDS))
    (scene / "segmentations" / "03" / "floor.png").write_bytes(b"")


def write_single_class(scene: Path) -> None:
    (scene / "classes.txt").write_text("floor\n")


@pytest.mark.parametrize("write", [write_transforms, write_llff, write_colmap])
def test_good_scenes_pass_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[..., Path]
) -> None:
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path / "cache"))
    scene = write(tmp_path / "scene", 9)
    write_masks(scene, {3: {"floor": np.ones((HEIGHT, WIDTH), bool)}}, list(WORDS))
    before = snapshot(tmp_path)
    check(scene, max_side=10)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("write", [write_transforms, write_llff, write_colmap])
@pytest.mark.parametrize(
    ("spoil", "options", "parts"),
    [
        (truncate, {}, [image_name(2), "cannot be read"]),
        (remove_images, {}, ["image"]),
        (lambda scene: write_images(scene / "images", 9, (30, 30)), {}, [image_name(0), "30x30", f"{WIDTH}x{HEIGHT}"]),
        (break_label, {}, [image_name(4), "label 9"]),
        (break_mask, {}, ["floor.png"]),
        (write_single_class, {"classes": ()}, ["classes.txt", "only the class 'floor'"]),
        (lambda scene: None, {"classes": ()}, ["No classes"]),
        (lambda scene: None, {"classes": ("a", "b", "A")}, ["entry 3", "entry 1"]),
        (lambda scene: None, {"max_side": 0}, ["max_side is 0"]),
    ],
)
def test_bad_scenes_end_in_one_sentence(
    tmp_path: Path, write: Callable[..., Path], spoil: Callable[[Path], None], options: dict, parts: list[str]
) -> None:
    scene = write(tmp_path, 9)
    spoil(scene)
    before = snapshot(tmp_path)
    with pytest.raises(UserError) as caught:
        check(scene, **options)
    message = str(caught.value)
    assert all(part in message for part in parts), message
    assert message.endswith(".") and "\n" not in message
    assert snapshot(tmp_path) == before


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no data folder"):
        check(tmp_path / "absent")


def test_damaged_depth_maps_are_named(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 3)
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(scene / "depth.png")
    text = (scene / "transforms.json").read_text()
    (scene / "transforms.json").write_text(text.replace('"file_path"', '"depth_file_path": "depth.png", "file_path"'))
    check(scene)
    (scene / "depth.png").write_bytes((scene / "depth.png").read_bytes()[:-20])
    with pytest.raises(UserError, match=r"depth\.png cannot be read"):
        check(scene)


def add_to_frames(scene: Path, key: str, paths: list[str]) -> None:
    """Gives every frame, in the order of the photographs' names, a file under `key`."""
    meta = json.loads((scene / "transforms.json").read_text())
    for frame, path in zip(sorted(meta["frames"], key=lambda frame: frame["file_path"]), paths, strict=True):
        frame[key] = path
    (scene / "transforms.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    "depth",
    [np.ones(7), np.full((HEIGHT, WIDTH), "far"), np.ones((HEIGHT, WIDTH, 2)), np.ones((0, WIDTH))],
    ids=["one axis", "words", "two channels", "empty"],
)
def test_arrays_that_are_no_depth_maps_are_named(depth: np.ndarray, tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 3)
    add_to_frames(scene, "depth_file_path", ["depth.npy"] * 3)
    for good in (np.ones((4, 6), np.float32), np.ones((4, 6, 1), np.int64)):
        np.save(scene / "depth.npy", good)
        check(scene)
    np.save(scene / "depth.npy", depth)
    with pytest.raises(UserError, match=r"depth\.npy is no depth map"):
        check(scene)


def test_masks_have_the_shape_of_their_photographs_and_one_channel(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 3)
    add_to_frames(scene, "mask_path", ["mask.png"] * 3)
    Image.new("L", (WIDTH // 2, HEIGHT // 2), 255).save(scene / "mask.png")
    check(scene)
    Image.new("L", (2 * WIDTH, HEIGHT), 255).save(scene / "mask.png")
    with pytest.raises(UserError, match=rf"mask\.png has {2 * WIDTH}x{HEIGHT} pixels, its view {WIDTH}x{HEIGHT}"):
        check(scene)
    Image.new("RGB", (WIDTH, HEIGHT), "white").save(scene / "mask.png")
    with pytest.raises(UserError, match=r"mask\.png is a mask of mode RGB"):
        check(scene)


@pytest.mark.parametrize(
    ("black", "hidden"), [({0}, "held-out"), ({1, 2}, "training"), ({1}, None)], ids=["held out", "training", "one"]
)
def test_masks_that_hide_a_whole_split_are_refused(black: set[int], hidden: str | None, tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 3)
    add_to_frames(scene, "mask_path", [f"mask_{index}.png" for index in range(3)])
    for index in range(3):
        Image.new("L", (WIDTH, HEIGHT), 0 if index in black else 255).save(scene / f"mask_{index}.png")
    if hidden is None:
        check(scene)
        return
    with pytest.raises(UserError, match=f"hide all {hidden} views"):
        check(scene)


def test_cameras_at_one_point_are_refused(tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 3)
    meta = json.loads((scene / "transforms.json").read_text())
    for frame in meta["frames"]:
        frame["transform_matrix"] = np.eye(4).tolist()
    (scene / "transforms.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match="all cameras at one point"):
        check(scene)


@pytest.mark.parametrize("method", ["pca", "up", "vertical", "none"])
def test_cameras_beyond_single_precision_are_refused(
    method: Literal["pca", "up", "vertical", "none"], tmp_path: Path
) -> None:
    scene = write_transforms(tmp_path, 3)
    meta = json.loads((scene / "transforms.json").read_text())
    meta["frames"][1]["transform_matrix"][0][3] = 1e38
    (scene / "transforms.json").write_text(json.dumps(meta))
    with pytest.raises(UserError, match=r"farther away than 1e\+12 units"):
        check(scene, orientation_method=method)


@pytest.mark.parametrize("override", [{}, {"orientation_override": "up"}], ids=["flag", "file"])
def test_cameras_whose_up_directions_cancel_are_refused(override: dict, tmp_path: Path) -> None:
    scene = write_transforms(tmp_path, 4, **override)
    meta = json.loads((scene / "transforms.json").read_text())
    for index, frame in enumerate(meta["frames"]):  # They look down, and each is turned by a quarter from the last.
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[index]
        frame["transform_matrix"] = [[cos, -sin, 0, index], [sin, cos, 0, 0], [0, 0, 1, 3], [0, 0, 0, 1]]
    (scene / "transforms.json").write_text(json.dumps(meta))
    named = "orientation_override" if override else "orientation-method"
    with pytest.raises(UserError, match=f"turned upright by 'up'.*{named} to none"):
        check(scene)
    if not override:
        check(scene, orientation_method="none")
