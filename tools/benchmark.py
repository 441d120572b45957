"""Speed against competitors on this machine; prints a table and writes docs/results/benchmarks.json.

Both sides of a comparison take turns in one process, and a row is the median over the turns with their spread.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from ovs3d.evaluation.results import ResultRow, read_results, results_table, write_results
from ovs3d.native.memory import keep_freed_memory
from tools.benchmarks.features import features
from tools.benchmarks.floor import stage2_floor
from tools.benchmarks.growth import growth, large
from tools.benchmarks.profiling import write_profile
from tools.benchmarks.queries import queries
from tools.benchmarks.rendering import video
from tools.benchmarks.stage2 import stage2
from tools.benchmarks.startup import startup
from tools.benchmarks.training import demo, kernels, throughput, time_to_psnr
from tools.benchmarks.viewer import viewer

PREFACE = """# Benchmarks

Comparisons with a competitor are made on one machine, in one process, by turns: ours, theirs, ours, theirs; a row with
several runs is the median over them. Growth, large scenes, the demo and the race to a PSNR are single runs. The last
column is the command that measures the row. `make bench` measures all of them, in about an hour on two cores, during
which nothing else should run; a group that is measured alone takes the place of its rows on the same machine, whatever
the commit of the others. `python -m tools.benchmark --profile FILE` writes what an iteration spends its time on.

"""


@dataclass
class Benchmark:
    """Measure speed and write docs/results/benchmarks.json, for example: python -m tools.benchmark --only startup."""

    room: Path = Path("data/room")
    """The bundled scene."""
    photographs: Path = Path(os.environ.get("OVS3D_REAL_DATA", "../shared/data")) / "fox"
    """A scene of real photographs for the throughput, at 240 pixels on the long side; where absent the bundled one."""
    repetitions: int = 5
    """Turns of every comparison."""
    only: tuple[str, ...] = ()
    """Groups of rows to measure, for example startup or throughput; all by default. An unknown one lists them."""
    out: Path = Path("docs/results/benchmarks.json")
    """The rows."""
    page: Path = Path("docs/benchmarks.md")
    """The rows, to read."""
    profile: Path | None = None
    """Write a profile of an iteration of both stages to this file, and measure nothing."""

    def run(self) -> None:
        """Measures and writes, after every group."""
        if self.profile is not None:
            write_profile(self.room, self.profile)
            return
        keep_freed_memory()  # As the trainer does.
        groups = self.groups()
        unknown = sorted(set(self.only) - set(groups))
        if len(unknown) > 0:
            raise SystemExit(f"--only {' '.join(unknown)} is none of {', '.join(groups)}.")
        measured = read_results(self.out)
        for name in self.only or groups:
            CONSOLE.log(f"Measuring {name}")
            command = command_of(name)
            measured = [row for row in measured if row.command != command]
            measured += [replace(row, command=command) for row in groups[name]()]
            order = {command_of(each): place for place, each in enumerate(groups)}
            rows = sorted((row for row in measured if row.command in order), key=lambda row: order[row.command])
            write_results(self.out, rows, self.page, PREFACE)
            CONSOLE.print(results_table([row for row in rows if row.command == command], name))

    def groups(self) -> dict[str, Callable[[], Iterator[ResultRow]]]:
        """Groups of rows by name."""
        data, max_side = (self.photographs, 240) if self.photographs.is_dir() else (self.room, 320)
        return {
            "startup": lambda: startup(self.repetitions),
            "throughput": lambda: throughput(data, max_side, self.repetitions),
            "kernels": lambda: kernels(data, max_side, self.repetitions),
            "stage2": lambda: stage2(self.repetitions),
            "floor": lambda: stage2_floor(self.repetitions),
            "features": lambda: features(self.repetitions),
            "video": lambda: video(self.room, self.repetitions),
            "queries": lambda: queries(self.room, self.repetitions),
            "viewer": lambda: viewer(self.room, self.repetitions),
            "growth": growth,
            "large": large,
            "demo": lambda: demo(self.room),
            "time-to-psnr": lambda: time_to_psnr(self.room),
        }


def command_of(group: str) -> str:
    """What measures a group alone."""
    return f"python -m tools.benchmark --only {group}"


if __name__ == "__main__":
    tyro.cli(Benchmark).run()
