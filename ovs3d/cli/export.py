"""`ovs3d export RUN`: masks, labelled points, features, meshes and boxes for other programs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ovs3d.cli.command import Command, Report, chosen_device


@dataclass
class Export(Command):
    """Write the segmentation for other programs, for example: ovs3d export RUN --what points boxes."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder or its config.yml."""
    what: tuple[Literal["masks", "points", "mesh", "boxes", "features"], ...] = ("masks", "points", "mesh", "boxes")
    """masks: indexed PNG, and COCO JSON, whose category ids are the indices plus one; points: PLY with labels;
    mesh: PLY and GLB, one node a class; boxes: JSON of centres, axes (columns of a rotation) and extents along them;
    features: NPZ with a vector for each point, in the space of the run's encoder.
    Points, meshes and boxes have the coordinates and units of the data (before nerfstudio's applied_transform)."""
    out: Path | None = None
    """Folder to write to; by default RUN/export."""
    split: Literal["held-out", "train"] = "held-out"
    """Photographs that masks are written for."""
    views: int = 60
    """Training views that points, meshes and boxes are made from, at most."""
    side: int = 320
    """Longest side of these views in pixels; a larger one gives more detail."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""
    data: Path | None = None
    """Where the photographs lie now, if they have moved."""

    def run(self) -> Report:
        """Renders the views once and writes what was asked for."""
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.errors import UserError
        from ovs3d.export.masks import write_classes, write_masks
        from ovs3d.export.mesh import import_open3d
        from ovs3d.export.shapes import write_shapes
        from ovs3d.run_folder import find_run
        from ovs3d.scene import Scene

        if len(self.what) == 0:
            raise UserError("--what names nothing to export; give masks, points, features, mesh or boxes, or several.")
        config_path = find_run(self.run_path)
        if "mesh" in self.what:
            import_open3d()  # Its absence is told before minutes of rendering.
        scene = Scene.load(config_path, chosen_device(self.device), self.data)
        out = self.out or config_path.parent / "export"
        written = [out / "classes.json"]
        if "masks" in self.what:
            outputs = scene.held_out_outputs if self.split == "held-out" else scene.train_outputs
            write_masks(scene, outputs, out / "masks" / self.split)
            written.append(out / "masks" / self.split)
        if set(self.what) - {"masks"}:
            written += write_shapes(scene, self.what, out, self.views, self.side)
        write_classes(out / "classes.json", scene.classes)
        CONSOLE.print(f"Exported {', '.join(self.what)}: {out}", markup=False)
        return Report({"classes": scene.classes, "written": written})
