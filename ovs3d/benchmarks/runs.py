"""Runs that tables are made of: each is a `ns-train` in its own process, kept, and not repeated when complete."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ovs3d.errors import UserError

log = logging.getLogger(__name__)

BIN = Path(sys.executable).parent


def call(command: Sequence[str | Path], printed: Path, threads: int | None = None) -> None:
    """Runs a command of the environment; what it prints goes to the file `printed`.

    Args:
        command: the program, found beside this Python first, and its arguments.
        printed: is written anew.
        threads: so many cores, or as many as the program likes.

    Raises:
        UserError: it failed; the message ends with the last line of its log.
    """
    printed.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    words = [str(part) for part in command]
    with printed.open("w") as file:
        status = subprocess.run(words, stdout=file, stderr=file, env=environment, check=False).returncode
    if status != 0:
        lines = printed.read_text(errors="replace").splitlines()
        said = [line.strip() for line in lines if any(letter.isalpha() for letter in line)]
        last = said[-1] if said else "nothing"
        raise UserError(f"{words[0]} ended with status {status}; mend what {printed} tells and call again: {last}")


def train(
    root: Path,
    name: str,
    method: str,
    data: Path,
    seed: int,
    flags: Sequence[str | Path] = (),
    threads: int | None = None,
) -> Path:
    """Trains ROOT/NAME/METHOD/seed-SEED unless a finished run lies there; returns that folder.

    What `ns-train` prints goes to ROOT/logs/NAME-METHOD-SEED.log.

    Raises:
        UserError: training failed, or the finished run has other data or flags.
    """
    folder = root / name / method / f"seed-{seed}"
    done, made_of = folder / "done", json.dumps([str(data.resolve()), *map(str, flags)])
    if done.exists():
        if done.read_text() not in (made_of, ""):  # Empty where it was made by hand: then nothing is known.
            raise UserError(f"{folder} was trained with other data or flags; remove it, or give another output folder.")
        return folder
    printed = root / "logs" / f"{name}-{method}-{seed}.log"
    log.info("Training; progress is in %s.", printed)
    call(
        ["ns-train", method, "--data", data, "--output-dir", root, "--experiment-name", name,
         "--timestamp", f"seed-{seed}", "--machine.seed", str(seed), "--vis", "tensorboard", *flags],
        printed,
        threads,
    )  # fmt: skip
    done.write_text(made_of)
    return folder
