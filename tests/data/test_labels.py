"""Label maps: matched by name, ignored where nothing is known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovs3d.data.labels import find_labels, load_label_map
from ovs3d.errors import UserError
from tests.data.scene_writer import image_name, write_labels, write_masks

NAMES = ("apple", "wall", "table")


def images(folder: Path, count: int = 4) -> list[Path]:
    return [folder / "images" / image_name(i) for i in range(count)]


def save(path: Path, values: np.ndarray) -> Path:
    Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_indices_are_matched_by_name(tmp_path: Path, kind: type) -> None:
    path = save(tmp_path / "a.png", np.array([[0, 1, 2], [2, 255, 0]], dtype=kind))
    found = load_label_map(path, NAMES, ("Table", "sky", "APPLE"), (2, 3))
    assert found is not None and found.dtype == np.int64
    np.testing.assert_array_equal(found, [[2, -1, 0], [0, -1, 2]])


def test_sixteen_bits_hold_more_than_255_names(tmp_path: Path) -> None:
    names = tuple(f"class {i}" for i in range(300))
    path = save(tmp_path / "a.png", np.array([[255, 299], [65535, 0]], dtype=np.uint16))
    found = load_label_map(path, names, ("class 299", "class 255"), (2, 2))
    np.testing.assert_array_equal(np.asarray(found), [[1, 0], [-1, -1]])


def test_palette_png_holds_indices_not_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1], [2, 255]], dtype=np.uint8), mode="L").convert("P")
    picture.putpalette([200, 10, 10] * 256)
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        np.asarray(load_label_map(tmp_path / "a.png", NAMES, NAMES, (2, 2))), [[0, 1], [2, -1]]
    )


def test_resampling_is_nearest_and_keeps_halves(tmp_path: Path) -> None:
    values = np.zeros((4, 8), dtype=np.uint8)
    values[:, 4:] = 2
    path = save(tmp_path / "a.png", values)
    for size in ((8, 16), (2, 4), (6, 12)):
        found = np.asarray(load_label_map(path, NAMES, NAMES, size))
        np.testing.assert_array_equal(found, np.repeat([0, 2], size[1] // 2)[None].repeat(size[0], 0))


def test_masks_are_matched_by_name_and_overlap_is_ignored(tmp_path: Path) -> None:
    left = np.zeros((4, 6), dtype=bool)
    left[:, :3] = True
    top = np.zeros((4, 6), dtype=bool)
    top[0, 2:5] = True
    write_masks(tmp_path, {2: {"apple": left, "wall": top}}, ["wall", "apple", "table"])
    labels = find_labels(tmp_path, images(tmp_path))
    assert labels.masks and [path is not None for path in labels.paths] == [False, False, True, False]
    found = np.asarray(load_label_map(labels.paths[2], labels.names, ("apple", "wall"), (4, 6)))
    expected = np.where(left, 0, -1)
    expected[0] = [0, 0, -1, 1, 1, -1]
    np.testing.assert_array_equal(found, expected)
    unasked = np.asarray(load_label_map(labels.paths[2], labels.names, ("wall", "sky"), (4, 6)))
    assert set(np.unique(unasked)) == {-1, 0} and (unasked == 0).sum() == 2


def test_no_labels(tmp_path: Path) -> None:
    assert find_labels(tmp_path, images(tmp_path)).paths == (None,) * 4
    assert load_label_map(None, NAMES, NAMES, (2, 2)) is None


def test_index_maps_are_found_by_stem(tmp_path: Path) -> None:
    write_labels(tmp_path, {1: np.zeros((2, 2), np.uint8)}, ["apple: an apple", "wall"])
    labels = find_labels(tmp_path, images(tmp_path))
    assert labels.names == ("apple", "wall") and not labels.masks
    assert labels.paths == (None, tmp_path / "labels" / image_name(1), None, None)
    (tmp_path / "labels" / "classes.txt").write_text("wall\n")
    assert find_labels(tmp_path, images(tmp_path)).names == ("wall",)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (np.full((2, 2), 3, np.uint8), ["a.png", "label 3", "ends at 2"]),
        (np.full((2, 2), 254, np.uint8), ["label 254"]),
        (np.full((2, 2), 256, np.uint16), ["label 256"]),
        (np.zeros((2, 2, 3), np.uint8), ["a.png", "mode RGB", "one channel"]),
        (np.zeros((2, 4), np.uint8), ["4x2 pixels", "2x2"]),
    ],
)
def test_bad_index_maps(tmp_path: Path, values: np.ndarray, parts: list[str]) -> None:
    path = save(tmp_path / "a.png", values)
    with pytest.raises(UserError) as caught:
        load_label_map(path, NAMES, NAMES, (2, 2))
    assert all(part in str(caught.value) for part in parts)


def test_bad_masks(tmp_path: Path) -> None:
    ones = np.ones((4, 6), dtype=bool)
    write_masks(tmp_path, {1: {"apple": ones}}, ["apple"])
    folder = tmp_path / "segmentations" / "01"
    save(folder / "apple.png", np.ones((4, 6), np.uint8))
    with pytest.raises(UserError, match=r"apple\.png is a mask with values up to 1"):
        load_label_map(folder, ("apple",), ("apple", "wall"), (4, 6))
    save(folder / "pear.png", np.ones((4, 6), np.uint8))
    with pytest.raises(UserError, match=r"pear\.png is of no class in .*classes\.txt"):
        find_labels(tmp_path, images(tmp_path))
    (folder / "pear.png").unlink()
    folder.rename(folder.with_name("07"))
    with pytest.raises(UserError, match="07 is not the number of a view; name it 0 to 3"):
        find_labels(tmp_path, images(tmp_path))
    (tmp_path / "segmentations" / "classes.txt").unlink()
    with pytest.raises(UserError, match=r"There are labels but no .*classes\.txt"):
        find_labels(tmp_path, images(tmp_path))


def test_labels_that_fit_no_image_or_two(tmp_path: Path) -> None:
    write_labels(tmp_path, {0: np.zeros((2, 2), np.uint8)}, ["apple", "wall"])
    with pytest.raises(UserError, match=r"No label in .* is named as an image"):
        find_labels(tmp_path, [tmp_path / "images" / "other.png"])
    twins = [tmp_path / "left" / image_name(0), tmp_path / "right" / image_name(0)]
    with pytest.raises(UserError, match="fits both"):
        find_labels(tmp_path, twins)


def test_a_truncated_label(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 3, (64, 64)).astype(np.uint8))
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UserError, match=r"a\.png cannot be read as an image"):
        load_label_map(path, NAMES, NAMES, (64, 64))
