"""Writes a scene in the project's data format: photographs, labels, depth, classes.txt, transforms.json, scene.json."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image

from .cameras import Camera
from .description import GENERATOR_VERSION, SceneDescription
from .raycast import IGNORE, Compiled, raycast_view

MILLIMETRES = 1000.0


def _frames(cameras: Sequence[Camera], depth: bool) -> list[dict[str, Any]]:
    frames = []
    for k, camera in enumerate(cameras):
        frame: dict[str, Any] = {"file_path": f"images/frame_{k:03d}.jpg"}
        if depth:
            frame["depth_file_path"] = f"depth/frame_{k:03d}.png"
        frame["transform_matrix"] = np.round(camera.camera_to_world, 7).tolist()
        frames.append(frame)
    return frames


def transforms(train: Sequence[Camera], test: Sequence[Camera], width: int, height: int, depth: bool) -> dict[str, Any]:
    """nerfstudio's transforms.json: OpenGL camera-to-world matrices in metres, z up; training frames come first."""
    frames = _frames([*train, *test], depth)
    names = [frame["file_path"] for frame in frames]
    focal = train[0].focal * width
    return {
        "camera_model": "OPENCV",
        "w": width,
        "h": height,
        "fl_x": focal,
        "fl_y": focal,
        "cx": width / 2,
        "cy": height / 2,
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "train_filenames": names[: len(train)],
        "val_filenames": names[len(train) :],
        "test_filenames": names[len(train) :],
        "frames": frames,
    }


def scene_record(description: SceneDescription, renderer: str) -> dict[str, Any]:
    """scene.json: all that the scene was made from, and which of its objects encoders never saw."""
    record = dataclasses.asdict(description)
    for entry, spec in zip(record["objects"], description.objects, strict=True):
        entry["name"] = spec.triple.name
    return {
        "generator_version": GENERATOR_VERSION,
        "renderer": renderer,
        "held_out": list(description.held_out),
        "classes": [dataclasses.asdict(info) for info in description.classes],
        **record,
    }


def write_dataset(
    folder: Path,
    compiled: Compiled,
    train: Sequence[Camera],
    test: Sequence[Camera],
    size: tuple[int, int],
    renderer: str,
    render: Callable[[Camera], UInt8[ndarray, "h w 3"]] | None = None,
    depth: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Renders all views of a scene into `folder`; transforms.json is written last, so its presence means complete.

    Args:
        folder: made if missing; files of the same names are replaced.
        compiled: the scene.
        train: training cameras.
        test: held-out cameras.
        size: (width, height) in pixels.
        renderer: words for scene.json that say how the colours were made.
        render: gives the colours of a view; None takes the ray caster's.
        depth: whether to write depth pictures (16-bit millimetres along the optical axis, 0 = nothing).
        progress: called with (views done, views in all).
    """
    description, (width, height) = compiled.geometry.description, size
    for name in ("images", "labels", *(["depth"] if depth else [])):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "transforms.json").unlink(missing_ok=True)
    cameras = [*train, *test]
    views = [raycast_view(compiled, camera, width, height) for camera in cameras]
    # A ceiling that no photograph shows is nothing that anybody would ask for.
    seen = [int(index) for index in np.unique([view.label for view in views]) if index != IGNORE]
    renumbered = np.full(256, IGNORE, dtype=np.uint8)
    renumbered[seen] = np.arange(len(seen))
    for k, (camera, view) in enumerate(zip(cameras, views, strict=True)):
        rgb = view.rgb if render is None else render(camera)
        Image.fromarray(rgb).save(folder / f"images/frame_{k:03d}.jpg", quality=95, subsampling=0)
        Image.fromarray(renumbered[view.label]).save(folder / f"labels/frame_{k:03d}.png", optimize=True)
        if depth:
            millimetres = np.round(view.depth * MILLIMETRES).astype(np.uint16)
            Image.fromarray(millimetres).save(folder / f"depth/frame_{k:03d}.png", optimize=True)
        if progress is not None:
            progress(k + 1, len(views))
    (folder / "classes.txt").write_text("".join(f"{description.classes[index].name}\n" for index in seen))
    (folder / "scene.json").write_text(json.dumps(scene_record(description, renderer), indent=1) + "\n")
    (folder / "transforms.json").write_text(json.dumps(transforms(train, test, width, height, depth), indent=1) + "\n")
