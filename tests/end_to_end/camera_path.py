"""Writes a camera path as nerfstudio's viewer does."""

import json
from pathlib import Path

from tests.end_to_end.box_scene import HEIGHT, WIDTH


def write_camera_path(path: Path, frames: int) -> Path:
    """A path of cameras side by side that look along -z of the training world; returns `path`."""
    poses = [[1, 0, 0, 0.1 * i, 0, 1, 0, 0, 0, 0, 1, 0.8, 0, 0, 0, 1] for i in range(frames)]
    content = {
        "camera_type": "perspective",
        "render_height": HEIGHT,
        "render_width": WIDTH,
        "fps": 10,
        "seconds": frames / 10,
        "camera_path": [{"camera_to_world": pose, "fov": 60.0, "aspect": WIDTH / HEIGHT} for pose in poses],
    }
    path.write_text(json.dumps(content))
    return path
