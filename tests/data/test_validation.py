"""Every bad input ends in one sentence, and nothing is written."""

from collections.abc import Callable
from pathlib import Path

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
