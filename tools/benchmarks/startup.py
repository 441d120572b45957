"""Rows of what a user waits for before anything happens."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ovs3d.evaluation.results import ResultRow
from tools.benchmarks.timing import median_row, repeat, take_turns


def startup(repetitions: int) -> Iterator[ResultRow]:
    """Wall time of `ovs3d --help`, and of `import ovs3d` above that of an empty program."""
    program = Path(sys.executable).parent / "ovs3d"
    help_times = repeat(lambda: call([str(program), "--help"]), repetitions)
    yield median_row("ovs3d --help", help_times, 1.0, "s", higher_is_better=False)
    pairs = take_turns(lambda: python("import ovs3d"), lambda: python(""), repetitions)
    imports = tuple(own - nothing for own, nothing in zip(pairs.ours, pairs.theirs, strict=True))
    yield median_row("import ovs3d", imports, 0.3, "s", higher_is_better=False)


def python(program: str) -> None:
    """Runs a Python program of one line."""
    call([sys.executable, "-c", program])


def call(command: Sequence[str]) -> None:
    """Runs a program that must succeed."""
    subprocess.run(command, check=True, capture_output=True)
