"""`ovs3d query RUN "a mug"`: where something is, in pictures, masks and numbers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ovs3d.cli.command import Command, Report, chosen_device


@dataclass
class QueryCommand(Command):
    """Look for something in a run, for example: ovs3d query RUN "a mug" --negatives "a cup" table."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder or its config.yml."""
    text: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="WORDS")] = None
    """What to look for, in words."""
    image: Path | None = None
    """What to look for, as a picture of such a thing; the class that it is most like is found."""
    click: Annotated[tuple[str, int, int] | None, tyro.conf.arg(metavar="VIEW ROW COLUMN")] = None
    """What to look for, as a pixel of a photograph of the data, named without its suffix."""
    point: Annotated[tuple[float, float, float] | None, tyro.conf.arg(metavar="X Y Z")] = None
    """What to look for, as a place in the data's own coordinates (before nerfstudio's applied_transform)."""
    negatives: tuple[str, ...] = ()
    """Words that it is not; by default the classes of the run but for the nearest one."""
    views: tuple[str, ...] = ()
    """Photographs to look at, named without their suffixes; by default all held-out ones and that which shows most."""
    out: Path | None = None
    """Folder of the answer; by default RUN/query."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""
    data: Path | None = None
    """Where the photographs lie now, if they have moved."""

    def run(self) -> Report:
        """Asks the scene and every view, and writes query.json, points.ply, and a picture and a mask of each view."""
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.export.answers import write_answers
        from ovs3d.query.ask import Query
        from ovs3d.run_folder import find_run
        from ovs3d.scene import Scene

        asked = Query(self.text, self.image, self.click, self.point, negatives=self.negatives or None)
        config_path = find_run(self.run_path)
        scene = Scene.load(config_path, chosen_device(self.device), self.data)
        out = self.out or config_path.parent / "query"
        best = write_answers(scene, asked, self.views, out)
        answer = json.loads((out / "query.json").read_text(encoding="utf-8"))
        CONSOLE.print("Nothing found." if best is None else f"Best seen in {best}.", markup=False)
        for box in answer["boxes"]:
            at, size = (", ".join(f"{number:.2f}" for number in box[key]) for key in ("centre", "extent"))
            CONSOLE.print(f"In space: {box['points']} points about ({at}), in a box of ({size})", highlight=False)
        CONSOLE.print(f"Answer: {out / 'query.json'}", markup=False)
        points = {"points": out / "points.ply"} if best is not None else {}
        written = {"answer": out / "query.json", **points, "pictures": out / "pictures", "masks": out / "masks"}
        return Report({**answer, "written": written})
