"""`ovs3d render RUN`: a run as a video."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ovs3d.cli.command import Command, Report, chosen_device

FPS = 24
"""Frames per second of paths that ask for no other speed."""


@dataclass
class Render(Command):
    """Write a video of colour, segmentation and depth, for example: ovs3d render RUN --without "a mug" "a spoon"."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder or its config.yml."""
    out: Path | None = None
    """The MP4 to write; by default RUN/segmentation.mp4, or another name that tells what it shows."""
    show: Literal["side-by-side", "overlay", "relevancy", "pca", "depth"] = "side-by-side"
    """side-by-side: colour, segmentation (or what is found of the query) and depth (or its confidence);
    overlay: the second of these alone; relevancy: that confidence; pca: features as colours; depth."""
    query: str | None = None
    """Words to show in the place of the classes: where they are, and their confidence, or score."""
    classes: tuple[str, ...] = ()
    """Segment into these words in the place of the run's, without training: "name" or "name: prompt | prompt"."""
    keep: tuple[str, ...] = ()
    """Words for things to show alone."""
    without: tuple[str, ...] = ()
    """Words for things to leave out."""
    path: Annotated[str, tyro.conf.arg(metavar="orbit|held-out|FILE")] = "orbit"
    """orbit: a closed path through the training cameras; held-out: the held-out cameras in their order;
    or a camera path file of nerfstudio's viewer."""
    frames: int = 120
    """Frames of the orbit."""
    fps: int | None = None
    """Frames per second; by default those that a FILE asks for, or else 24."""
    side: int = 800
    """Longest side of each picture in pixels, unless the photographs are smaller; a FILE has a size of its own."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""
    data: Path | None = None
    """Where the photographs lie now, if they have moved."""

    def run(self) -> Report:
        """Renders the frames and writes them."""
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.export.frames import check_numbers, check_show, painter, write_video
        from ovs3d.export.paths import camera_path, frames_per_second
        from ovs3d.export.video import VideoWriter
        from ovs3d.query.ask import Query
        from ovs3d.run_folder import find_run
        from ovs3d.scene import Scene

        check_show(self.show, self.query is not None, len(self.classes) > 0)
        check_numbers(self.frames, FPS if self.fps is None else self.fps, self.side)
        query = None if self.query is None else Query(self.query)
        config_path = find_run(self.run_path)
        scene = Scene.load(config_path, chosen_device(self.device), self.data)
        cameras = camera_path(scene, self.path, self.frames, self.side)
        out = self.out or config_path.parent / self._name
        fps = self.fps or frames_per_second(self.path) or FPS
        video = VideoWriter(out, fps)
        if self.classes:
            scene = scene.with_classes(self.classes)
        if self.keep or self.without:
            scene = scene.edited(self.keep, self.without)
        write_video(painter(scene, self.show, query), cameras, video)
        CONSOLE.print(f"Video: {out}", markup=False)
        return Report({"frames": len(cameras), "fps": fps, "classes": scene.classes, "written": {"video": out}})

    @property
    def _name(self) -> str:
        shown = "segmentation" if self.query is None else "query"
        edited = "edited-" if self.keep or self.without else ""
        return f"{edited}{shown if self.show == 'side-by-side' else self.show}.mp4"
