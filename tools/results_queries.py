"""How well trained scenes answer questions whose answers are known; writes docs/results/queries.json.

Rooms are the bundled one and the family that no encoder, setting or calibration has seen.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from ovs3d.evaluation.results import results_table, write_results
from tools.queries.evidence import KnownScene
from tools.queries.measure import Answer, ask
from tools.queries.table import QueryTable, write_reliability
from tools.results.runs import train
from tools.results.variants import ENCODERS

COMMAND = "make results-queries"
FAMILY = ("101", "102", "103")


@dataclass
class ResultsQueries:
    """Train what is missing, ask, measure and write docs/results/queries.json."""

    room: Path = Path("data/room")
    """The bundled scene."""
    family: Path = Path("outputs/family")
    """Folder with the family scenes, made by `make family`."""
    root: Path = Path("outputs/results-queries")
    """Where runs are kept; what is complete is not repeated."""
    out: Path = Path("docs/results/queries.json")
    """The rows."""
    figure: Path = Path("docs/figures/calibration.png")
    """Confidences against the truth."""

    def run(self) -> None:
        """Asks all scenes and writes the rows."""
        answers = [self.ask(data) for data in (self.room, *(self.family / name for name in FAMILY))]
        table = QueryTable(answers, COMMAND)
        rows = list(table.rows())
        write_results(self.out, rows)
        write_reliability(table, self.figure)
        CONSOLE.print(results_table(rows, "queries"))

    def ask(self, data: Path) -> list[Answer]:
        """All questions to a scene."""
        run = train(self.root, data.name, data, 0, ENCODERS, threads=os.cpu_count() or 1)
        CONSOLE.log(f"Asking {data}")
        seed = json.loads((data / "scene.json").read_text())["seed"]
        return ask(KnownScene.load(run.folder, data), self.root / "pictures" / data.name, seed)


if __name__ == "__main__":
    tyro.cli(ResultsQueries).run()
