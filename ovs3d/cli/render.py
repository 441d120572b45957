"""`ovs3d render RUN`: the segmentation as a video."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass
class Render:
    """Write a video of photo-like colour, segmentation and depth, for example: ovs3d render RUN --out video.mp4."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder or its config.yml."""
    out: Path | None = None
    """The MP4 to write; by default RUN/segmentation.mp4, or RUN/query.mp4."""
    query: str | None = None
    """Words to show in the place of the classes: where they are, and their score."""
    path: Path | None = None
    """Camera path file of nerfstudio's viewer; by default a closed path through the training cameras."""
    frames: int = 120
    """Frames of the default path."""
    fps: int = 24
    """Frames per second."""
    device: str = "cpu"
    """cpu or cuda."""
    data: Path | None = None
    """Where the photographs lie now, if they have moved."""

    def run(self) -> int:
        """Renders the frames and writes them."""
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.cli.runs import find_run
        from ovs3d.export.frames import write_query_video, write_video
        from ovs3d.export.paths import path_from_file, smooth_path
        from ovs3d.query.ask import Query
        from ovs3d.scene import Scene

        config_path = find_run(self.run_path)
        scene = Scene.load(config_path, self.device, self.data)
        if self.path is not None:
            cameras = path_from_file(self.path)
        else:
            cameras = smooth_path(scene.train_outputs.cameras, self.frames)
        if self.query is None:
            out = self.out or config_path.parent / "segmentation.mp4"
            write_video(scene, cameras, out, self.fps)
        else:
            out = self.out or config_path.parent / "query.mp4"
            write_query_video(scene, Query(self.query), cameras, out, self.fps)
        CONSOLE.print(f"Video: {out}")
        return 0
