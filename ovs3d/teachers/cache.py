"""The feature cache: what a teacher says about every photograph, computed once and read from disk ever after.

`<root>/<teacher>-<hash of meta and options>/<hash of the image's bytes>.npy`, float16 `[scales, h, w, dim]`, beside a
`meta.json`. Because names are hashes of content, a changed image or option is a file that is not there yet, and
features of another scene cannot be taken for this one's.
"""

import hashlib
import io
import json
import math
import os
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from ovs3d.cache import user_cache
from ovs3d.data.images import read_rgb
from ovs3d.errors import UserError
from ovs3d.teachers.base import FeatureMeta, Teacher, unit_or_zero
from ovs3d.teachers.store import FeatureStore, read_view


def default_cache_root() -> Path:
    """The folder of all feature caches: `features` in the `user_cache`."""
    return user_cache() / "features"


def extract_features(
    teacher: Teacher, image_paths: Sequence[Path], cache_root: Path, progress: bool = False
) -> FeatureStore:
    """Computes the features that are not in the cache yet, and opens all of them.

    Every view is written under a temporary name and moved into place, so that an interrupted run resumes where it
    stopped and a half-written view is never read.

    Args:
        teacher: computes the features.
        image_paths: the photographs, one per view.
        cache_root: folder of all caches (see `default_cache_root`).
        progress: whether to show a bar with the time that is left.

    Raises:
        UserError: an image or the cache cannot be read or written, or the cache's meta.json is another teacher's.
    """
    folder = cache_folder(teacher, cache_root)
    paths = [folder / f"{image_digest(path)}.npy" for path in image_paths]
    missing = {}
    for image_path, path in zip(image_paths, paths, strict=True):
        if not _is_stored(path, teacher.meta):
            missing[path] = image_path
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # Speed is measured over the whole extraction: in rich's own 30 seconds a slow teacher may not end a single view.
    bar = Progress(*columns, speed_estimate_period=math.inf, disable=not (progress and missing))
    with bar, torch.no_grad():
        for path, image_path in bar.track(missing.items(), description=f"Features of {teacher.meta.teacher}"):
            features = unit_or_zero(teacher.extract(read_image(image_path)))
            array = io.BytesIO()
            np.save(array, features.cpu().numpy().astype(np.float16), allow_pickle=False)
            _write(path, array.getvalue())
    return FeatureStore(teacher.meta, paths)


def cache_folder(teacher: Teacher, cache_root: Path) -> Path:
    """Creates, or checks, the folder of one teacher with one set of options, and returns it."""
    described = {"meta": asdict(teacher.meta), "options": dict(teacher.options)}
    text = json.dumps(described, sort_keys=True, indent=1)
    folder = cache_root / f"{teacher.meta.teacher}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    path = folder / "meta.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _write(path, text.encode())
        stored = json.loads(path.read_text())
    except OSError as error:
        raise _unusable(folder, error) from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON; delete {folder} and extract again.") from error
    if stored != json.loads(text):
        raise UserError(f"{path} describes another teacher than '{teacher.meta.teacher}'; delete {folder}.")
    return folder


def check_cache_root(cache_root: Path) -> None:
    """Refuses a folder of all caches that is not there and cannot be made; makes nothing that stays."""
    try:
        if not cache_root.is_dir():
            above = next(folder for folder in (cache_root, *cache_root.parents) if folder.exists())
            tempfile.TemporaryDirectory(dir=above, prefix=".ovs3d-").cleanup()
    except OSError as error:
        raise _unusable(cache_root, error) from error


def image_digest(path: Path) -> str:
    """The first 24 hexadecimal digits of the SHA-256 of a file's bytes."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:24]
    except OSError as error:
        raise UserError(f"The image {path} cannot be read ({error.strerror}); check the path.") from error


def read_image(path: Path) -> Float[Tensor, "3 h w"]:
    """Reads a photograph as RGB in [0, 1]; like nerfstudio it leaves the EXIF rotation alone."""
    return torch.from_numpy(read_rgb(path)).permute(2, 0, 1).float() / 255


def _unusable(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"Features cannot be kept in {folder} ({error.strerror}); set OVS3D_CACHE, or "
        "--pipeline.datamanager.feature-cache where that is given, to another folder."
    )


def _is_stored(path: Path, meta: FeatureMeta) -> bool:
    """Whether a whole and well-formed view lies there; anything else is computed again."""
    if not path.exists():
        return False
    try:
        read_view(path, meta)
    except UserError:
        return False
    return True


def _write(path: Path, content: bytes) -> None:
    """Writes a file so that its name never stands for half of it."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); free space or set OVS3D_CACHE.") from error
    finally:
        temporary.unlink(missing_ok=True)
