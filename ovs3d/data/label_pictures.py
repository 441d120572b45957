"""Label pictures of other datasets, ids with a table of their names, as the `labels/` that a scene may have."""

import csv
import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from PIL import Image

from ovs3d.data.classes import CLASSES_FILE, name_key
from ovs3d.data.images import in_threads
from ovs3d.data.labels import IGNORE_VALUES, INDEX_MODES, LABELS_FOLDER, open_label
from ovs3d.data.layouts import read_scene, scene_folder
from ovs3d.data.views import View
from ovs3d.errors import UserError

NAME_COLUMNS = ("raw_category", "name", "category")
"""Columns of a table that may hold the names, the preferred one first; ScanNet's has the first and the last."""
SPECIAL = re.compile(r"[:#|\s]+")
"""What a class name cannot hold, because it means something in `classes.txt`."""
UNUSABLE = (OSError, ValueError, KeyError, TypeError, csv.Error)
Pair = tuple[View, Path]
"""A photograph and its label picture."""


@dataclass(frozen=True)
class Converted:
    """What was written."""

    folder: Path
    names: tuple[str, ...]
    pictures: int
    views: int
    """Photographs of the scene, with a picture or without."""
    unnamed: tuple[int, ...]
    """Ids that occur and that the table does not name: no label. Datasets use 0 or 65535 for it."""


def read_names(path: Path, names: str | None = None, ids: str = "id") -> dict[int, str]:
    """The name of every id, from a table or from Replica's `info_semantic.json`.

    Args:
        path: a `.tsv` or `.csv` file with a header, such as ScanNet's `scannetv2-labels.combined.tsv`, or a `.json`
            file with a list `classes` (`id`, `name`) and perhaps one `objects` (`id`, `class_name`).
        names: the column, or the list of the JSON file, that holds the names; by default the first of `NAME_COLUMNS`,
            or `classes`.
        ids: the column, or key, that holds the ids of the pictures.

    Raises:
        UserError: the file cannot be used; the message names it.
    """
    try:
        rows = _json_rows(path, names) if path.suffix.lower() == ".json" else _table_rows(path, names)
        found = {int(row[ids]): SPECIAL.sub(" ", name).strip() for row, name in rows if row[ids] not in ("", None)}
    except UNUSABLE as error:
        raise UserError(
            f"{path} is no table of labels ({error!r}): name its columns with --names and --ids."
        ) from error
    found = {number: name for number, name in found.items() if name}
    if not found:
        raise UserError(f"{path} names no label; name its columns with --names and --ids.")
    return found


def _table_rows(path: Path, names: str | None) -> list[tuple[dict[str, Any], str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="," if path.suffix.lower() == ".csv" else "\t"))
    there = rows[0].keys() if rows else ()
    column = names or next((column for column in NAME_COLUMNS if column in there), NAME_COLUMNS[0])
    return [(row, row[column] or "") for row in rows]


def _json_rows(path: Path, names: str | None) -> list[tuple[dict[str, Any], str]]:
    rows = json.loads(path.read_text(encoding="utf-8-sig"))[names or "classes"]
    return [(row, row["name"] if "name" in row else row["class_name"]) for row in rows]


def convert_labels(data: Path, pictures: Path, table: Mapping[int, str]) -> Converted:
    """Writes `labels/<image stem>.png` and `labels/classes.txt` of a scene; all of it or nothing.

    A picture belongs to the photograph of its name, or, where no name is the same, of its number (`rgb_12.png` and
    `semantic_class_12.png`). Ids of one name become one class. Classes that no picture shows are not listed.

    Args:
        data: the scene.
        pictures: folder of label pictures, PNG of 8 or 16 bits.
        table: the name of every id.

    Raises:
        UserError: the scene has labels already, or pictures cannot be used.
    """
    out = scene_folder(data) / LABELS_FOLDER
    if out.exists():
        raise UserError(f"{out} exists; remove it to write labels anew.")
    views = read_scene(data).views
    pairs = match_pictures(views, pictures)
    seen = sorted({int(value) for ids in in_threads(_distinct, pairs) for value in ids})
    names: dict[str, str] = {}
    for number in seen:
        if number in table:
            names.setdefault(name_key(table[number]), table[number])
    if not names:
        raise UserError(f"{pictures} holds the ids {_listed(seen)}, none of which the table names; give its own table.")
    kind, ignore = (np.uint8, IGNORE_VALUES[0]) if len(names) <= IGNORE_VALUES[0] else (np.uint16, IGNORE_VALUES[1])
    indices = {key: index for index, key in enumerate(names)}
    values = np.array([indices[name_key(table[n])] if n in table else ignore for n in seen], dtype=kind)

    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{LABELS_FOLDER}.") as draft:
        folder = Path(draft) / LABELS_FOLDER
        folder.mkdir()

        def write(pair: Pair) -> None:
            labels = values[np.searchsorted(seen, _read(pair))]
            Image.fromarray(labels).save(folder / f"{pair[0].image.stem}.png", optimize=True)

        in_threads(write, pairs)
        (folder / CLASSES_FILE).write_text("".join(f"{name}\n" for name in names.values()), encoding="utf-8")
        folder.rename(out)
    unnamed = tuple(number for number in seen if number not in table)
    return Converted(out, tuple(names.values()), len(pairs), len(views), unnamed)


def match_pictures(views: Sequence[View], pictures: Path) -> list[Pair]:
    """The views that have a label picture, each with its own: that of its name, else that of the last number in it.

    Raises:
        UserError: no picture belongs to a photograph, or numbers are not enough to tell which.
    """
    files = sorted(path for path in pictures.glob("*.png") if not path.name.startswith("."))
    by_name = {path.stem: path for path in files}
    pairs = [(view, by_name[view.image.stem]) for view in views if view.image.stem in by_name]
    if pairs:
        return pairs
    by_number: dict[int, Path] = {}
    for path in files:
        number = _number(path)
        if number is not None and by_number.setdefault(number, path) != path:
            raise UserError(f"{by_number[number]} and {path} have one number; name them as their photographs.")
    numbers = [(view, _number(view.image)) for view in views]
    pairs = [(view, by_number[number]) for view, number in numbers if number is not None and number in by_number]
    if not pairs or len({path for _, path in pairs}) < len(pairs):
        raise UserError(f"No PNG in {pictures} is named or numbered as one photograph; name each as its photograph.")
    return pairs


def _number(path: Path) -> int | None:
    numbers = re.findall(r"[0-9]+", path.stem)
    return int(numbers[-1]) if numbers else None


def _read(pair: Pair) -> Int64[np.ndarray, "h w"]:
    view, path = pair
    image = open_label(path, (view.intrinsics.height, view.intrinsics.width))
    if image.mode not in INDEX_MODES:
        raise UserError(f"{path} is a picture of mode {image.mode}; label pictures hold one id a pixel, 8 or 16 bits.")
    return np.asarray(image).astype(np.int64)


def _distinct(pair: Pair) -> Int64[np.ndarray, " ids"]:
    return np.unique(_read(pair))


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
