"""Commands as a user runs them, with the time and the memory that they take."""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Usage:
    """What a process took."""

    seconds: float
    peak_gb: float
    """Greatest resident memory."""


def run(command: list[str], cache: Path) -> Usage:
    """Runs a program that lies beside this interpreter, with `cache` in the place of the user's cache."""
    program = str(Path(sys.executable).with_name(command[0]))
    done, usage = run_measured([program, *command[1:]], {"OVS3D_CACHE": str(cache)}, stdout=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}.")
    return usage


def run_measured(
    command: list[str], settings: dict[str, str], **streams: Any
) -> tuple[subprocess.CompletedProcess[str], Usage]:
    """Runs a command, whatever it ends with.

    A small process starts it and measures: Linux counts what the starting process holds as the started one's.

    Args:
        command: with its arguments.
        settings: environment variables beside those of this process.
        **streams: keyword arguments of `subprocess.run`, such as `stdout` and `cwd`.
    """
    with tempfile.NamedTemporaryFile("r", suffix=".json") as file:
        measured = [sys.executable, __file__, file.name, *command]
        done = subprocess.run(measured, env=os.environ | settings, text=True, check=False, **streams)
        return done, Usage(**json.load(file))


def measure(file: Path, command: list[str]) -> int:
    """Runs a command, writes its usage as JSON, and returns its status."""
    began = time.perf_counter()
    status = subprocess.run(command, check=False).returncode
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9  # Linux counts in KiB.
    file.write_text(json.dumps(asdict(Usage(time.perf_counter() - began, peak))), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(measure(Path(sys.argv[1]), sys.argv[2:]))
