"""Speed against competitors on this machine; prints a table and writes docs/results/benchmarks.json.

Both sides of a comparison take turns in one process, and a row is the median over the turns with their spread.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from ovs3d.evaluation.results import ResultRow, results_table, write_results
from tools.benchmarks.features import features
from tools.benchmarks.floor import stage2_floor
from tools.benchmarks.rendering import video
from tools.benchmarks.stage2 import stage2
from tools.benchmarks.startup import startup
from tools.benchmarks.training import kernels, throughput, time_to_psnr


@dataclass
class Benchmark:
    """Measure speed and write docs/results/benchmarks.json, for example: python -m tools.benchmark --only startup."""

    room: Path = Path("data/room")
    """The bundled scene."""
    photographs: Path | None = None
    """A scene of real photographs for the throughput, at 240 pixels on the long side; else the bundled scene."""
    repetitions: int = 5
    """Turns of every comparison."""
    only: tuple[str, ...] = ()
    """Groups of rows to measure, for example startup or throughput; all by default. An unknown one lists them."""
    out: Path = Path("docs/results/benchmarks.json")
    """The rows."""

    def run(self) -> None:
        """Measures and writes."""
        groups = self.groups()
        unknown = sorted(set(self.only) - set(groups))
        if len(unknown) > 0:
            raise SystemExit(f"--only {' '.join(unknown)} is none of {', '.join(groups)}.")
        rows = [row for name in self.only or groups for row in groups[name]()]
        write_results(self.out, rows)
        CONSOLE.print(results_table(rows, "benchmarks"))

    def groups(self) -> dict[str, Callable[[], Iterator[ResultRow]]]:
        """Groups of rows by name."""
        data, max_side = (self.photographs, 240) if self.photographs is not None else (self.room, 320)
        return {
            "startup": lambda: startup(self.repetitions),
            "throughput": lambda: throughput(data, max_side, self.repetitions),
            "kernels": lambda: kernels(data, max_side, self.repetitions),
            "stage2": lambda: stage2(self.repetitions),
            "floor": lambda: stage2_floor(self.repetitions),
            "features": lambda: features(self.repetitions),
            "video": lambda: video(self.room, self.repetitions),
            "time-to-psnr": lambda: time_to_psnr(self.room),
        }


if __name__ == "__main__":
    tyro.cli(Benchmark).run()
