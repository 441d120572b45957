"""Commands as a user runs them, with the time and the memory that they take."""

import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Usage:
    """What a process took."""

    seconds: float
    peak_gb: float
    """Greatest resident memory."""


def run(command: list[str], cache: Path) -> Usage:
    """Runs a program that lies beside this interpreter, with `cache` in the place of the user's cache.

    A small process starts it and measures: Linux counts what the starting process holds as the started one's.
    """
    program = str(Path(sys.executable).with_name(command[0]))
    measured = [sys.executable, "-m", __name__, program, *command[1:]]
    environment = os.environ | {"OVS3D_CACHE": str(cache)}
    done = subprocess.run(measured, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}.")
    return Usage(**json.loads(done.stdout))


def measure(command: list[str]) -> int:
    """Runs a command, prints its usage as JSON, and returns its status."""
    began = time.perf_counter()
    status = subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9  # Linux counts in KiB.
    sys.stdout.write(json.dumps(asdict(Usage(time.perf_counter() - began, peak))))
    return status


if __name__ == "__main__":
    sys.exit(measure(sys.argv[1:]))
