"""Labels of held-out views, for evaluation only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from PIL import Image

from ovs3d.data.classes import CLASSES_FILE, MASKS_FOLDER, name_key, read_classes_file
from ovs3d.data.images import UNREADABLE
from ovs3d.errors import UserError

IGNORE = -1
IGNORE_VALUES = (255, 65535)
"""What stands for "no label" in files of 8 and of 16 bits."""
LABELS_FOLDER = "labels"
INDEX_MODES = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L"})
ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True)
class LabelFiles:
    """For each view its label: a PNG of indices into `names`, a folder of `<name>.png` masks, or None."""

    paths: tuple[Path | None, ...]
    names: tuple[str, ...]
    masks: bool = False


def find_labels(folder: Path, images: Sequence[Path]) -> LabelFiles:
    """Finds `labels/<image stem>.png`, else `segmentations/<view index>/<class>.png`, for each image.

    The indices of `labels/` point into `labels/classes.txt` if it is there, else into the scene's `classes.txt`.

    Args:
        folder: the scene's folder.
        images: its photographs, sorted by name; a mask folder's number counts them from 0.

    Raises:
        UserError: for labels without a class list or without an image.
    """
    if (folder / LABELS_FOLDER).is_dir() and any((folder / LABELS_FOLDER).glob("*.png")):
        return _find_index_maps(folder, images)
    if (folder / MASKS_FOLDER).is_dir():
        return _find_masks(folder / MASKS_FOLDER, images)
    return LabelFiles((None,) * len(images), ())


def _label_names(candidates: Sequence[Path]) -> tuple[str, ...]:
    for path in candidates:
        if path.is_file():
            return tuple(name for name, _ in read_classes_file(path, minimum=1))
    raise UserError(f"There are labels but no {candidates[-1]}; write there the name of every label, one per line.")


def _find_index_maps(folder: Path, images: Sequence[Path]) -> LabelFiles:
    labels = folder / LABELS_FOLDER
    names = _label_names([labels / CLASSES_FILE, folder / CLASSES_FILE])
    paths = [labels / f"{image.stem}.png" for image in images]
    found = tuple(path if path.is_file() else None for path in paths)
    if not any(found):
        raise UserError(f"No label in {labels} is named as an image; name each one <image stem>.png.")
    seen: dict[Path, Path] = {}
    for path, image in zip(found, images, strict=True):
        if path is not None and path in seen:
            raise UserError(f"The label {path} fits both {seen[path]} and {image}; give the images different names.")
        if path is not None:
            seen[path] = image
    return LabelFiles(found, names)


def _find_masks(segmentations: Path, images: Sequence[Path]) -> LabelFiles:
    folders = sorted(p for p in segmentations.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not folders:
        return LabelFiles((None,) * len(images), ())
    names = _label_names([segmentations / CLASSES_FILE])
    known = {name_key(name) for name in names}
    paths: list[Path | None] = [None] * len(images)
    for folder in folders:
        if not folder.name.isdecimal() or int(folder.name) >= len(images):
            raise UserError(f"{folder} is not the number of a view; name it 0 to {len(images) - 1}, in file order.")
        for mask in sorted(folder.glob("*.png")):
            if name_key(mask.stem) not in known:
                raise UserError(f"{mask} is of no class in {segmentations / CLASSES_FILE}; add its name there.")
        paths[int(folder.name)] = folder
    return LabelFiles(tuple(paths), names, masks=True)


def load_label_map(
    source: Path | None, label_names: Sequence[str], class_names: Sequence[str], size: tuple[int, int]
) -> Int64[np.ndarray, "h w"] | None:
    """The labels of one view as indices into `class_names`; -1 is ignore.

    Labels are matched to the asked classes by name, without regard to case. A label of a class not asked, an unlabelled
    pixel, and a pixel under the masks of two classes are ignore.

    Args:
        source: a PNG of indices into `label_names`, a folder of `<label name>.png` masks, or None.
        label_names: the label files' own class names.
        class_names: the asked classes.
        size: (h, w) in pixels; labels of another size are resampled to the nearest pixel.

    Raises:
        UserError: names a file that cannot be read, has another aspect ratio, or an index outside `label_names`.
    """
    if source is None:
        return None
    asked = {name_key(name): index for index, name in enumerate(class_names)}
    targets = np.array([asked.get(name_key(name), IGNORE) for name in label_names] + [IGNORE], dtype=np.int64)
    indices = _stack_masks(source, label_names, size) if source.is_dir() else _read_indices(source, label_names, size)
    return targets[indices]


def _read_indices(path: Path, names: Sequence[str], size: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """Indices into `names`; -1, the entry after the last, for ignore."""
    image = open_label(path, size)
    if image.mode not in INDEX_MODES:
        raise UserError(
            f"{path} is a picture of mode {image.mode}; save class indices as a PNG of 8 or 16 bits, one channel."
        )
    values = np.asarray(image).astype(np.int64)
    ignored = np.isin(values, [value for value in IGNORE_VALUES if value >= len(names)])
    outside = (~ignored) & ((values < 0) | (values >= len(names)))
    if outside.any():
        raise UserError(
            f"{path} holds the label {values[outside][0]} but the class list ends at {len(names) - 1}; "
            "add the class to the list or use 255 for no label."
        )
    return _resize_nearest(np.where(ignored, IGNORE, values), size)


def _stack_masks(folder: Path, names: Sequence[str], size: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """Indices into `names` from one mask per name; a missing mask is an empty one, as is a pixel claimed twice."""
    files = {name_key(path.stem): path for path in folder.glob("*.png")}
    indices = np.full(size, IGNORE, dtype=np.int64)
    claims = np.zeros(size, dtype=np.int64)
    for index, name in enumerate(names):
        if name_key(name) in files:
            inside = _read_mask(files[name_key(name)], size)
            indices[inside] = index
            claims += inside
    indices[claims > 1] = IGNORE
    return indices


def _read_mask(path: Path, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    values = np.asarray(open_label(path, size).convert("L"))
    if 0 < values.max() <= 127:
        raise UserError(f"{path} is a mask with values up to {values.max()}; save it with 0 outside and 255 inside.")
    return _resize_nearest((values > 127).astype(np.int64), size).astype(bool)


def open_label(path: Path, size: tuple[int, int]) -> Image.Image:
    """The decoded file of labels of a view of (h, w) pixels, in its own size.

    Raises:
        UserError: it cannot be read, or has another aspect ratio than its view and is the label of something else.
    """
    try:
        with Image.open(path) as image:
            image.load()
    except UNREADABLE as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace or remove it.") from error
    check_shape(path, image.size, size)
    return image


def check_shape(path: Path, found: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuses a picture of `found` = (width, height) pixels that cannot be of a view of `size` = (h, w)."""
    (width, height), (rows, columns) = found, size
    tolerance = ASPECT_TOLERANCE + 1.0 / min(width, height, rows, columns)
    if abs(width * rows / (height * columns) - 1.0) > tolerance:
        raise UserError(
            f"{path} has {width}x{height} pixels, its view {columns}x{rows}; give it the shape of its view."
        )


def _resize_nearest(values: Int64[np.ndarray, "a b"], size: tuple[int, int]) -> Int64[np.ndarray, "h w"]:
    """Resamples to (h, w) pixels by the value at each pixel's centre."""
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(np.int64) for n, m in zip(size, values.shape, strict=True))
    return values[rows[:, None], columns[None, :]]
