"""Photographs on disk: their sizes, whether they can be read, and the smaller copies that training uses."""

import hashlib
import os
import struct
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import UInt8
from nerfstudio.utils.rich_utils import CONSOLE
from PIL import Image, ImageOps

from ovs3d.cache import user_cache
from ovs3d.data.views import View
from ovs3d.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")
Resize = Callable[[Image.Image, tuple[int, int]], Image.Image]

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
PLAIN_MODES = frozenset({"RGB", "RGBA", "L"})
"""Pixel formats that nerfstudio's loader understands; all others are trained from converted copies."""
FACTORS = (2, 4, 8)
JPEG_QUALITY = 95
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
"""All that Pillow raises on broken files."""


def list_images(folder: Path) -> list[Path]:
    """The photographs in `folder`, sorted by name; hidden files are none."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in found if not path.name.startswith("."))


def read_rgb(path: Path, upright: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """The pixels of a photograph; what is transparent lies on white, as in training.

    Args:
        path: of the photograph.
        upright: whether to turn it as its EXIF says; photographs of a scene are not turned, as nerfstudio has it.

    Raises:
        UserError: names a file that cannot be read.
    """
    try:
        with Image.open(path) as image:
            turned = ImageOps.exif_transpose(image) if upright else image
            if turned.has_transparency_data:
                layer = turned.convert("RGBA")
                turned = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
            return np.array(turned.convert("RGB"))
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) from the header alone.

    Raises:
        UserError: names a file whose header cannot be read.
    """
    return _header(path)[1:]


def _header(path: Path) -> tuple[str, int, int]:
    try:
        with Image.open(path) as image:
            return image.mode, image.width, image.height
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read as an image ({error}); replace it, or take it out of the scene.")


def check_decodes(paths: Iterable[Path]) -> None:
    """Decodes every image (or `.npy` depth map) once, JPEG at an eighth of its size, which still reads the whole file.

    Raises:
        UserError: names the first file that is truncated or damaged.
    """
    in_threads(_check_decodes, list(paths))


def _check_decodes(path: Path) -> None:
    try:
        if path.suffix == ".npy":
            depth = np.load(path, allow_pickle=False)
            if not isinstance(depth, np.ndarray) or depth.dtype.kind not in "uif" or not _is_picture(depth.shape):
                raise UserError(f"{path} is no depth map; save an array [height, width] of numbers there.")
            return
        with Image.open(path) as image:
            image.verify()
        with Image.open(path) as image:
            image.draft("RGB", (max(1, image.width // 8), max(1, image.height // 8)))
            image.load()
    except UNREADABLE as error:
        raise _unreadable(path, error) from error


def _is_picture(shape: tuple[int, ...]) -> bool:
    return len(shape) >= 2 and min(shape) > 0 and shape[2:] in ((), (1,))


def in_threads(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of every item, in order; the first error in that order is raised."""
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(function, items))


def training_views(views: Sequence[View], max_side: int) -> tuple[View, ...]:
    """The views with images of at most `max_side` pixels on the long side, intrinsics and masks of the same size.

    Images that are small enough stay as they are. Otherwise a folder `images_2`, `_4` or `_8` beside `images` is used
    if it holds them all, as nerfstudio does; else copies are written once in the `user_cache`.
    Depth maps keep their size.

    Raises:
        UserError: if the copies cannot be written.
    """
    headers = [_header(view.image) for view in views]
    if all(mode in PLAIN_MODES and max(size) <= max_side for mode, *size in headers):
        fitted = list(views)
    else:
        fitted = _from_smaller_folders(views, max_side) or _from_copies(views, headers, max_side)
    return tuple(_fit_masks(fitted))


def _from_smaller_folders(views: Sequence[View], max_side: int) -> list[View] | None:
    for factor in FACTORS:
        parents = [view.image.parent.with_name(f"{view.image.parent.name}_{factor}") for view in views]
        images = [parent / view.image.name for parent, view in zip(parents, views, strict=True)]
        if not all(image.is_file() for image in images):
            continue
        headers = [_header(image) for image in images]
        if all(mode in PLAIN_MODES and max(size) <= max_side for mode, *size in headers):
            told = f"Training on the photographs in {images[0].parent}, at most {max_side} px on the long side."
            CONSOLE.log(told, markup=False)
            return [
                replace(view, image=image, intrinsics=view.intrinsics.resized(width, height))
                for view, image, (_, width, height) in zip(views, images, headers, strict=True)
            ]
    return None


def _from_copies(views: Sequence[View], headers: Sequence[tuple[str, int, int]], max_side: int) -> list[View]:
    folder = _cache_folder([view.image for view in views], max_side)
    common = Path(os.path.commonpath([view.image.parent for view in views]))
    jobs, fitted = [], []
    for view, (mode, width, height) in zip(views, headers, strict=True):
        scale = min(1.0, max_side / max(width, height))
        if mode in PLAIN_MODES and scale == 1.0:
            fitted.append(view)
            continue
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        kept = view.image.suffix.lower() in (".jpg", ".jpeg")
        relative = view.image.relative_to(common).with_suffix(".jpg" if kept else ".png")
        copy = folder / view.image.suffix[1:] / relative
        jobs.append((view.image, copy, size, _smaller_photograph))
        fitted.append(replace(view, image=copy, intrinsics=view.intrinsics.resized(*size)))
    in_threads(_write_copy, jobs)
    told = f"Training on copies of {len(jobs)} photographs, at most {max_side} px on the long side, in {folder}."
    CONSOLE.log(told, markup=False)
    return fitted


def _fit_masks(views: Sequence[View]) -> list[View]:
    """nerfstudio needs masks of exactly the image's size; they are resampled to it without smoothing."""
    fitted, jobs = [], []
    for index, view in enumerate(views):
        size = (view.intrinsics.width, view.intrinsics.height)
        if view.mask is None or image_size(view.mask) == size:
            fitted.append(view)
            continue
        copy = _cache_folder([view.mask], max(size)) / f"mask-{index:06d}-{size[0]}x{size[1]}.png"
        jobs.append((view.mask, copy, size, _smaller_mask))
        fitted.append(replace(view, mask=copy))
    in_threads(_write_copy, jobs)
    return fitted


def _cache_folder(images: Sequence[Path], max_side: int) -> Path:
    """A folder of its own for these very files: path, size and time of change decide."""
    stats = [(path, path.stat()) for path in images]
    key = repr([(str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path, stat in stats] + [max_side])
    return user_cache() / f"images-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _smaller_photograph(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A photograph in a smaller size and in one of `PLAIN_MODES`."""
    image.draft(None, size)  # Lets JPEG decode at a half or a quarter, never below the wanted size.
    mode = "RGBA" if "transparency" in image.info or "A" in image.mode else "RGB"
    plain = image if image.mode in PLAIN_MODES else image.convert(mode)
    return plain.resize(size, Image.Resampling.LANCZOS)


def _smaller_mask(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A mask in another size, 0 and 255 in one channel; palettes and 16 bits have no other meaning than others."""
    return Image.fromarray(np.asarray(image) != 0).resize(size, Image.Resampling.NEAREST).convert("L")


def _write_copy(job: tuple[Path, Path, tuple[int, int], Resize]) -> None:
    """Writes one resized copy unless it is there; a name appears only once its file is whole."""
    source, copy, size, resize = job
    if copy.is_file():
        return
    try:
        with Image.open(source) as image:
            small = resize(image, size)
    except UNREADABLE as error:
        raise _unreadable(source, error) from error
    partial = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        if copy.suffix == ".jpg":
            small.convert("RGB").save(partial, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
        else:
            small.save(partial, format="PNG", compress_level=3)
        os.replace(partial, copy)
    except OSError as error:
        raise UserError(f"{copy} cannot be written ({error.strerror}); free space or set OVS3D_CACHE.") from error
    finally:
        partial.unlink(missing_ok=True)
