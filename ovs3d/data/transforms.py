"""Reads `transforms.json` of nerfstudio and instant-ngp, and every other layout once it has that form.

nerfstudio's own parser demands fields that instant-ngp's files may lack (sizes, focal lengths, file suffixes) and
all splits where one is listed, so the file is read here; the camera maths stays nerfstudio's.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from nerfstudio.cameras.cameras import CAMERA_MODEL_TO_TYPE

from ovs3d.data.entries import finite_number, focal_lengths, positive_number, read_matrix, read_pose
from ovs3d.data.images import image_size
from ovs3d.data.views import Intrinsics, PosedViews, View, require_files
from ovs3d.errors import UserError

DISTORTION_KEYS = ("k1", "k2", "k3", "k4", "p1", "p2")
SUFFIXES = (".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")
ORIENTATIONS = ("pca", "up", "vertical", "none")
LEGACY_COLMAP_TRANSFORM = ((0, 1, 0, 0), (1, 0, 0, 0), (0, 0, -1, 0))
"""World of the first versions of `ns-process-data`, which did not write `applied_transform`."""


def read_transforms(path: Path) -> PosedViews:
    """Reads one `transforms.json`; file paths in it are relative to its folder.

    Raises:
        UserError: for anything in it that cannot be used; the message names the file and the frame.
    """
    try:
        meta = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}); write it again with ns-process-data.") from error
    if not isinstance(meta, dict):
        raise UserError(f"{path} holds a {type(meta).__name__}, not an object with 'frames'; write it again.")
    if (path.parent / "colmap" / "sparse" / "0").exists():
        meta.setdefault("applied_transform", LEGACY_COLMAP_TRANSFORM)
    return views_from_meta(meta, path.parent, path)


def views_from_meta(meta: Mapping[str, Any], folder: Path, source: Path) -> PosedViews:
    """Turns nerfstudio's description of a scene into posed views, sorted by file name.

    Args:
        meta: the content of a `transforms.json`; numbers of a frame win over those of the whole file.
        folder: what relative file paths in it start from.
        source: the file or folder that errors name.

    Raises:
        UserError: for missing files, images of another size than the intrinsics say, or malformed entries.
    """
    frames = meta.get("frames")
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{source} lists no images; it needs a list 'frames' with one entry for each photograph.")
    posed = []
    for number, frame in enumerate(frames):
        place = f"{source}, frame {number},"
        if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
            raise UserError(f"{place} has no 'file_path'; give it the path of its photograph.")
        posed.append((_resolve(folder, frame["file_path"]), place, frame))
    posed.sort(key=lambda item: item[0])
    images = [image for image, _, _ in posed]
    require_files(images, source, "image")
    for previous, image in pairwise(images):
        if image == previous:
            raise UserError(f"{source} lists the image {image} twice; remove one of its two frames.")
    masks = _all_or_none(posed, "mask_path", folder, source)
    depths = _all_or_none(posed, "depth_file_path", folder, source)
    views = tuple(
        View(image, read_pose(frame, place), _intrinsics({**meta, **frame}, image, place), mask, depth)
        for (image, place, frame), mask, depth in zip(posed, masks, depths, strict=True)
    )
    model = meta.get("camera_model", "OPENCV_FISHEYE" if meta.get("is_fisheye") else "OPENCV")
    if not isinstance(model, str) or model not in CAMERA_MODEL_TO_TYPE:
        raise UserError(f"{source} has the camera_model {model!r}; use one of {', '.join(CAMERA_MODEL_TO_TYPE)}.")
    orientation = meta.get("orientation_override")
    if orientation is not None and orientation not in ORIENTATIONS:
        raise UserError(f"{source} has the orientation_override {orientation!r}; use one of {', '.join(ORIENTATIONS)}.")
    train, test, val = (
        _listed(meta, f"{split}_filenames", folder, images, source) for split in ("train", "test", "val")
    )
    applied, radius = meta.get("applied_transform"), meta.get("fisheye_crop_radius")
    return PosedViews(
        source=source,
        views=views,
        camera_type=CAMERA_MODEL_TO_TYPE[model],
        train=train,
        held_out=None if test is None and val is None else test or val or frozenset(),
        orientation=orientation,
        applied_transform=None if applied is None else read_matrix(applied, f"{source}, applied_transform,")[:3],
        applied_scale=positive_number(meta, "applied_scale", str(source)) if "applied_scale" in meta else 1.0,
        fisheye_crop_radius=None if radius is None else positive_number(meta, "fisheye_crop_radius", str(source)),
    )


def _resolve(folder: Path, file_path: str) -> Path:
    """The image of a frame; instant-ngp and the NeRF synthetic scenes leave its suffix out."""
    path = folder / file_path
    if not path.is_file():
        for suffix in SUFFIXES:
            if path.with_name(path.name + suffix).is_file():
                return path.with_name(path.name + suffix)
    return path


def _all_or_none(posed: list[tuple[Path, str, dict]], key: str, folder: Path, source: Path) -> list[Path | None]:
    """Files named by every frame under `key`, or Nones if no frame has it."""
    values = [frame.get(key) for _, _, frame in posed]
    given = [folder / value for value in values if isinstance(value, str)]
    if given and len(given) != len(values):
        raise UserError(f"{source} has '{key}' in {len(given)} of {len(values)} frames; give it to all or to none.")
    require_files(given, source, key)
    return list(given) if given else [None] * len(values)


def _listed(
    meta: Mapping[str, Any], key: str, folder: Path, images: list[Path], source: Path
) -> frozenset[Path] | None:
    names = meta.get(key)
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{source} has a '{key}' that is not a list of file paths; write it as one.")
    listed = {_resolve(folder, name): name for name in names}
    unknown = sorted(name for path, name in listed.items() if path not in set(images))
    if unknown:
        raise UserError(f"{source} lists '{unknown[0]}' in '{key}' but has no such frame; correct the list.")
    return frozenset(listed)


def _intrinsics(values: Mapping[str, Any], image: Path, place: str) -> Intrinsics:
    """Intrinsics of one frame; what is not given follows from the picture, the field of view, or the other axis."""
    width, height = image_size(image)
    if "w" in values and "h" in values:
        said = (round(finite_number(values, "w", place)), round(finite_number(values, "h", place)))
        if said != (width, height):
            stored = " as stored, and no EXIF orientation turns it," if said == (height, width) else ""
            raise UserError(
                f"{image} has {width}x{height} pixels{stored} but the intrinsics in {place} are for "
                f"{said[0]}x{said[1]}; resize the image or correct w, h, fl_x, fl_y, cx and cy."
            )
    fx, fy = focal_lengths(values, (width, height), place)
    return Intrinsics(
        width=width,
        height=height,
        fx=fx,
        fy=fy,
        cx=finite_number(values, "cx", place) if "cx" in values else 0.5 * width,
        cy=finite_number(values, "cy", place) if "cy" in values else 0.5 * height,
        distortion=_distortion(values, place),
    )


def _distortion(values: Mapping[str, Any], place: str) -> tuple[float, ...]:
    if "distortion_params" not in values:
        return tuple(finite_number(values, key, place) if key in values else 0.0 for key in DISTORTION_KEYS)
    params = values["distortion_params"]
    if not isinstance(params, list) or len(params) not in (6, 12):
        raise UserError(f"{place} has bad 'distortion_params'; give 6 numbers, or 12 for FISHEYE624.")
    return tuple(finite_number({"distortion_params": number}, "distortion_params", place) for number in params)
