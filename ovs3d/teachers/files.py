"""Features computed by any other program, brought as a folder.

`meta.json` (`teacher`, `space`, `dim`, `levels`, `normalised`), one `<image stem>.npy` per photograph (float16
`[levels, h, w, dim]`, an all-zero vector is invalid), and optionally `vocabulary.npz` (`words`, `embeddings [N, dim]`,
`space`). Other files are left alone.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ovs3d.errors import UserError
from ovs3d.spaces import Vocabulary, check_same_space
from ovs3d.teachers.base import FeatureMeta
from ovs3d.teachers.store import FeatureStore, read_view


def open_features(folder: Path, image_paths: Sequence[Path]) -> FeatureStore:
    """Opens the features of the given photographs, which are matched by the stem of their file names.

    Raises:
        UserError: meta.json is missing or wrong, a photograph has no features, two share a stem, or a feature file
            does not hold what meta.json says.
    """
    meta = read_meta(folder)
    paths: dict[str, Path] = {}
    for image_path in image_paths:
        path = folder / f"{image_path.stem}.npy"
        if image_path.stem in paths:
            raise UserError(f"Two photographs are named {image_path.stem}; features from files need different stems.")
        if not path.is_file():
            raise UserError(f"{folder} has no features of the image {image_path.name}; add {path.name} to it.")
        read_view(path, meta)
        paths[image_path.stem] = path
    return FeatureStore(meta, list(paths.values()))


def open_vocabulary(folder: Path) -> Vocabulary | None:
    """Opens the folder's `vocabulary.npz`, or returns None where there is none.

    Raises:
        UserError: the folder is gone, or the vocabulary is malformed, or of another space or size than the features.
    """
    if not folder.is_dir():
        raise UserError(
            f"The folder {folder.absolute()}, whose features and words the run was trained with, is not there: put it "
            "back there (ovs3d eval and render of the run's own classes work without it)."
        )
    path = folder / "vocabulary.npz"
    if not path.is_file():
        return None
    meta = read_meta(folder)
    vocabulary = Vocabulary(path)
    check_same_space(meta.space, vocabulary.space)
    if vocabulary.dim != meta.dim:
        raise UserError(
            f"{path} has vectors of {vocabulary.dim} numbers, the features {meta.dim}; write one of them anew."
        )
    return vocabulary


def read_meta(folder: Path) -> FeatureMeta:
    """Reads and checks a folder's `meta.json`; keys beyond those of `FeatureMeta` are ignored."""
    path = folder / "meta.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a folder of features.") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON ({error}); write it again.") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path} must hold one JSON object; write it again.")
    for key, (fits, wanted) in _KEYS.items():
        if key not in stored or not fits(stored[key]):
            raise UserError(f"{path} needs the key '{key}': {wanted}.")
    return FeatureMeta(
        teacher=stored["teacher"],
        space=stored["space"],
        dim=stored["dim"],
        levels=tuple(stored["levels"]),
        normalised=stored["normalised"],
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_name, value)) and len(set(value)) == len(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


_KEYS = {
    "teacher": (_is_name, "the name of the model that computed the features"),
    "space": (_is_name, "the id of the embedding space"),
    "dim": (_is_size, "the length of a feature vector, a positive whole number"),
    "levels": (_is_names, "a list of different names, one per entry of the first axis"),
    "normalised": (_is_flag, "true where all vectors are of unit length, else false"),
}
