"""Reading photographs and the smaller copies of large ones."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from nerfstudio.data.utils.data_utils import get_image_mask_tensor_from_path
from PIL import Image

from ovs3d.data.images import check_decodes, image_size, list_images, read_rgb, training_views
from ovs3d.data.photo_masks import read_mask
from ovs3d.data.transforms import read_transforms
from ovs3d.errors import UserError
from tests.data.scene_writer import HEIGHT, WIDTH, image_name, write_images, write_transforms


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OVS3D_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_only_photographs_are_listed(tmp_path: Path) -> None:
    write_images(tmp_path, 2)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / ".hidden.png").write_bytes(b"x")
    assert [path.name for path in list_images(tmp_path)] == [image_name(0), image_name(1)]
    assert list_images(tmp_path / "absent") == []


def test_small_images_are_used_as_they_are(tmp_path: Path, cache: Path) -> None:
    views = read_transforms(write_transforms(tmp_path / "s", 3) / "transforms.json").views
    assert training_views(views, WIDTH) == views
    assert not cache.exists()


def test_copies_are_written_once_and_follow_the_originals(tmp_path: Path, cache: Path) -> None:
    path = write_transforms(tmp_path / "s", 3) / "transforms.json"
    views = read_transforms(path).views
    small = training_views(views, 20)
    assert [image_size(view.image) for view in small] == [(20, 13)] * 3
    assert {(view.intrinsics.width, view.intrinsics.height) for view in small} == {(20, 13)}
    assert small[0].intrinsics.fx == pytest.approx(views[0].intrinsics.fx * 20 / WIDTH)
    assert small[0].intrinsics.cy == pytest.approx(views[0].intrinsics.cy * 13 / HEIGHT)
    original = Image.open(views[1].image).convert("RGB").resize((20, 13), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(np.asarray(Image.open(small[1].image)), np.asarray(original))
    stamps = [view.image.stat().st_mtime_ns for view in small]
    again = training_views(views, 20)
    assert again == small and [view.image.stat().st_mtime_ns for view in again] == stamps
    os.utime(views[2].image, ns=(1, 1))
    assert training_views(views, 20)[0].image != small[0].image
    assert not list(cache.rglob(".*"))


def test_a_half_written_copy_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    views = read_transforms(write_transforms(tmp_path / "s", 2) / "transforms.json").views

    def full_disk(self: Image.Image, path: Path, **options: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full_disk)
        with pytest.raises(UserError, match="No space left on device"):
            training_views(views, 20)
    assert not [path for path in cache.rglob("*") if path.is_file()]
    assert image_size(training_views(views, 20)[0].image) == (20, 13)


def test_names_that_differ_in_the_suffix_alone_have_copies_of_their_own(tmp_path: Path, cache: Path) -> None:
    scene = write_transforms(tmp_path / "my scene", 3)
    images = sorted((scene / "images").iterdir())
    content = (scene / "transforms.json").read_text()
    for image, name in zip(images, ("Foto ä 1.PNG", "Foto ä 1.png", "Foto ä 2.png"), strict=True):
        image.rename(image.with_name(name))
        content = content.replace(image.name, name)
    (scene / "transforms.json").write_text(content, encoding="utf-8")
    small = [view.image for view in training_views(read_transforms(scene / "transforms.json").views, 24)]
    assert len(set(small)) == 3 and len({path.read_bytes() for path in small}) == 3


def test_smaller_folders_are_preferred_to_copies(tmp_path: Path, cache: Path) -> None:
    scene = write_transforms(tmp_path / "s", 3)
    write_images(scene / "images_2", 3, (24, 16))
    write_images(scene / "images_4", 3, (12, 9))
    views = read_transforms(scene / "transforms.json").views
    assert training_views(views, 30)[0].image.parent.name == "images_2"
    smallest = training_views(views, 20)[0]
    assert smallest.image == scene / "images_4" / image_name(0)
    assert (smallest.intrinsics.height, smallest.intrinsics.fy) == (9, pytest.approx(40.0 * 9 / HEIGHT))
    assert not cache.exists()
    (scene / "images_4" / image_name(1)).unlink()
    assert cache in training_views(views, 20)[0].image.parents


def test_formats_that_the_host_misreads_are_converted(tmp_path: Path) -> None:
    views = read_transforms(write_transforms(tmp_path / "s", 2) / "transforms.json").views
    colours = Image.open(views[0].image).quantize(16)
    colours.save(views[0].image)
    converted, untouched = training_views(views, 1600)
    assert untouched == views[1]
    np.testing.assert_array_equal(np.asarray(Image.open(converted.image)), np.asarray(colours.convert("RGB")))


def masks_of_every_mode(visible: np.ndarray) -> dict[str, Image.Image]:
    """One mask in all modes of one channel; the palette's colours say the contrary of its indices."""
    indexed = Image.fromarray(visible.astype(np.uint8), "P")
    indexed.putpalette([255, 255, 255, 0, 0, 0])
    grey = Image.fromarray(visible.astype(np.uint8) * 255)
    deep = Image.fromarray(visible.astype(np.uint16) * 40_000)
    return {"L": grey, "1": Image.fromarray(visible), "P": indexed, "I;16": deep}


@pytest.mark.parametrize("mode", ["L", "1", "P", "I;16"])
def test_masks_follow_the_image_size_without_smoothing(mode: str, tmp_path: Path, cache: Path) -> None:
    scene = write_transforms(tmp_path / "s", 2)
    visible = np.zeros((HEIGHT, WIDTH), bool)
    visible[:, WIDTH // 2 :] = True
    mask = masks_of_every_mode(visible)[mode]
    assert mask.mode == mode
    mask.save(scene / "mask.png")
    torch.testing.assert_close(read_mask(scene / "mask.png"), torch.from_numpy(visible))
    meta = (scene / "transforms.json").read_text().replace('"file_path"', '"mask_path": "mask.png", "file_path"')
    (scene / "transforms.json").write_text(meta)
    small = training_views(read_transforms(scene / "transforms.json").views, 24)[0]
    assert small.mask is not None
    assert get_image_mask_tensor_from_path(small.mask).shape == (HEIGHT // 2, WIDTH // 2, 1), "the host reads it"
    torch.testing.assert_close(read_mask(small.mask), torch.from_numpy(visible[::2, ::2].copy()))


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_damaged_files_are_named(tmp_path: Path, suffix: str) -> None:
    write_images(tmp_path, 3, (128, 128), suffix)
    paths = list_images(tmp_path)
    check_decodes(paths)
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=rf"{paths[1].name} cannot be read as an image"):
        check_decodes(paths)
    paths[1].write_bytes(b"not an image")
    with pytest.raises(UserError, match=paths[1].name):
        image_size(paths[1])


def test_a_flipped_bit_in_a_png_is_found(tmp_path: Path) -> None:
    write_images(tmp_path, 1, (64, 64))
    path = tmp_path / image_name(0)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match=path.name):
        check_decodes([path])


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_lies_on_white(mode: str, tmp_path: Path) -> None:
    picture = Image.new("RGBA", (4, 2), (0, 0, 0, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 2, 2))
    picture.convert(mode).save(tmp_path / "cut.png")
    assert read_rgb(tmp_path / "cut.png")[..., 0].tolist() == [[255, 255, 0, 0]] * 2


def test_only_pictures_of_a_query_are_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2)).save(tmp_path / "held.jpg", exif=exif)
    assert read_rgb(tmp_path / "held.jpg").shape == (2, 4, 3)
    assert read_rgb(tmp_path / "held.jpg", upright=True).shape == (4, 2, 3)
