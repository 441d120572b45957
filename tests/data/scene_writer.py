"""Writes one small scene, known camera by camera, in every layout that the dataparser accepts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

WIDTH, HEIGHT, FOCAL = 48, 32, 40.0


@dataclass(frozen=True)
class Camera:
    """A pinhole camera by its position and its right, down and forward directions in the world."""

    position: np.ndarray
    right: np.ndarray
    down: np.ndarray
    forward: np.ndarray

    def project(self, point: np.ndarray) -> tuple[float, float]:
        """Pixel coordinates (x, y) of a world point, pixel centres at half-integers."""
        offset = point - self.position
        depth = offset @ self.forward
        x = FOCAL * (offset @ self.right) / depth + WIDTH / 2
        return float(x), float(FOCAL * (offset @ self.down) / depth + HEIGHT / 2)


def make_cameras(count: int) -> list[Camera]:
    """Cameras on an uneven arc around a point away from the origin, in a world whose z axis points up."""
    target = np.array([0.4, -0.3, 0.2])
    cameras = []
    for angle in np.linspace(0.0, 2.5, count):
        position = target + np.array([3 * np.cos(angle), 3 * np.sin(angle), 1 + 0.3 * np.sin(3 * angle)])
        forward = (target - position) / np.linalg.norm(target - position)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        cameras.append(Camera(position, right, np.cross(forward, right), forward))
    return cameras


def image_name(index: int, suffix: str = ".png") -> str:
    """File names start at 100, so that a view's number is never its name."""
    return f"view_{100 + index}{suffix}"


def write_images(folder: Path, count: int, size: tuple[int, int] = (WIDTH, HEIGHT), suffix: str = ".png") -> None:
    """Writes noise pictures of (width, height) pixels, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for index in range(count):
        pixels = generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / image_name(index, suffix))


def transforms_meta(cameras: list[Camera], suffix: str = ".png") -> dict[str, Any]:
    """nerfstudio's description of the cameras; the frames are not in the order of their names."""
    frames = []
    for index, camera in enumerate(cameras):
        matrix = np.eye(4)
        matrix[:3] = np.stack([camera.right, -camera.down, -camera.forward, camera.position], axis=1)
        frames.append({"file_path": f"images/{image_name(index, suffix)}", "transform_matrix": matrix.tolist()})
    intrinsics = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    return {"camera_model": "OPENCV", **intrinsics, "frames": frames[::-1]}


def write_transforms(folder: Path, count: int = 10, **changes: Any) -> Path:
    """Writes images and `transforms.json` with `changes` on top; returns the scene's folder."""
    write_images(folder / "images", count)
    (folder / "transforms.json").write_text(json.dumps({**transforms_meta(make_cameras(count)), **changes}))
    return folder


def write_llff(folder: Path, count: int = 10) -> Path:
    """Writes images and `poses_bounds.npy`: rows of 3x5 (down, right, backwards, position, hwf) and two bounds."""
    write_images(folder / "images", count)
    rows = []
    for camera in make_cameras(count):
        hwf = np.array([HEIGHT, WIDTH, FOCAL])
        block = np.stack([camera.down, camera.right, -camera.forward, camera.position, hwf], axis=1)
        rows.append(np.concatenate([block.ravel(), [1.0, 10.0]]))
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder


def write_colmap(folder: Path, count: int = 10) -> Path:
    """Writes images and a COLMAP text model of one pinhole camera."""
    write_images(folder / "images", count)
    model = folder / "sparse" / "0"
    model.mkdir(parents=True)
    intrinsics = f"1 PINHOLE {WIDTH} {HEIGHT} {FOCAL} {FOCAL} {WIDTH / 2} {HEIGHT / 2}"
    (model / "cameras.txt").write_text(intrinsics + "\n")
    lines = []
    for index, camera in enumerate(make_cameras(count)):
        rotation = np.stack([camera.right, camera.down, camera.forward])
        x, y, z, w = Rotation.from_matrix(rotation).as_quat()
        t = -rotation @ camera.position
        lines += [f"{index + 1} {w} {x} {y} {z} {t[0]} {t[1]} {t[2]} 1 {image_name(index)}", ""]
    (model / "images.txt").write_text("\n".join(lines) + "\n")
    return folder


def opencv_pose(camera: Camera) -> np.ndarray:
    """Camera-to-world [4, 4] with the axes right, down, forwards."""
    pose = np.eye(4)
    pose[:3] = np.stack([camera.right, camera.down, camera.forward, camera.position], axis=1)
    return pose


def write_scannet(folder: Path, count: int = 12) -> Path:
    """Writes ScanNet's exported frames with depth maps of half the size; frame 5 has lost its pose."""
    for name in ("color", "depth", "pose", "intrinsic"):
        (folder / name).mkdir(parents=True)
    matrix = np.diag([FOCAL, FOCAL, 1.0, 1.0])
    matrix[:2, 2] = WIDTH / 2, HEIGHT / 2
    np.savetxt(folder / "intrinsic" / "intrinsic_color.txt", matrix)
    for index, camera in enumerate(make_cameras(count)):
        Image.new("RGB", (WIDTH, HEIGHT), (index, 0, 0)).save(folder / "color" / f"{index}.jpg")
        Image.fromarray(np.full((HEIGHT // 2, WIDTH // 2), 1500, np.uint16)).save(folder / "depth" / f"{index}.png")
        np.savetxt(folder / "pose" / f"{index}.txt", np.full((4, 4), -np.inf) if index == 5 else opencv_pose(camera))
    return folder


def write_replica(folder: Path, count: int = 12) -> Path:
    """Writes Replica as Semantic-NeRF renders it, with pictures of every second pose."""
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    cameras = make_cameras(count)
    np.savetxt(folder / "traj_w_c.txt", np.stack([opencv_pose(camera).ravel() for camera in cameras]))
    for index in range(0, count, 2):
        Image.new("RGB", (WIDTH, HEIGHT), (index, 0, 0)).save(folder / "rgb" / f"rgb_{index}.png")
        Image.fromarray(np.full((HEIGHT, WIDTH), 1500, np.uint16)).save(folder / "depth" / f"depth_{index}.png")
    return folder


def write_masks(folder: Path, masks: dict[int, dict[str, np.ndarray]], names: list[str]) -> None:
    """Writes the 3D-OVS labels: `segmentations/<view>/<class>.png` from boolean arrays."""
    for view, by_class in masks.items():
        target = folder / "segmentations" / f"{view:02d}"
        target.mkdir(parents=True)
        for name, inside in by_class.items():
            Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).save(target / f"{name}.png")
    (folder / "segmentations" / "classes.txt").write_text("\n".join(names) + "\n")


def write_labels(folder: Path, labels: dict[int, np.ndarray], names: list[str]) -> None:
    """Writes `labels/<image stem>.png` and the scene's `classes.txt`."""
    (folder / "labels").mkdir()
    for view, values in labels.items():
        Image.fromarray(values).save(folder / "labels" / image_name(view))
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
