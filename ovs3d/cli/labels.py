"""`ovs3d labels DATA`: the label pictures of another dataset as labels of a scene."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ovs3d.cli.command import Command, Report


@dataclass
class Labels(Command):
    """Take over label pictures, for example of ScanNet: ovs3d labels scene0000_00 --pictures scene0000_00/label-filt
    --table scannetv2-labels.combined.tsv --names nyu40class. Labels serve evaluation alone."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Scene folder; labels/ is made in it."""
    pictures: Path
    """Folder of PNGs with one id a pixel, named or numbered as the photographs."""
    table: Path
    """Names of the ids: a .tsv or .csv file with a header, or Replica's info_semantic.json."""
    names: str | None = None
    """Column of the names (by default raw_category, name or category); of a .json the list: classes or objects."""
    ids: str = "id"
    """Column of the ids that the pictures hold, such as nyu40id."""

    def run(self) -> Report:
        """Writes the labels and tells their classes."""
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.data.label_pictures import convert_labels, read_names

        done = convert_labels(self.data, self.pictures, read_names(self.table, self.names, self.ids))
        CONSOLE.print(f"{done.pictures} of {done.views} photographs have labels: {done.folder}", markup=False)
        CONSOLE.print(f"{len(done.names)} classes: {', '.join(done.names)}", markup=False)
        if done.unnamed:
            CONSOLE.print(f"No label, because the table does not name them: {', '.join(map(str, done.unnamed))}")
        counts = {"photographs": done.views, "labelled": done.pictures, "unnamed": done.unnamed}
        return Report({**counts, "classes": done.names, "written": {"labels": done.folder}})
