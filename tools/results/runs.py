"""Runs that results are made of: each is a `ns-train` in its own process, kept, and not repeated when complete."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Run:
    """One training run and its evaluation."""

    folder: Path
    """Run folder; `config.yml` and checkpoints lie in it."""

    @property
    def evaluation(self) -> dict:
        """Content of eval.json."""
        return json.loads((self.folder / "eval" / "eval.json").read_text())

    @property
    def psnr(self) -> float:
        """PSNR on the held-out views, in dB."""
        return self.evaluation["psnr"]

    @property
    def miou(self) -> float:
        """mIoU on the held-out views."""
        return self.evaluation["segmentation"]["miou"]

    @property
    def best_2d(self) -> float:
        """mIoU of the strongest variant of the 2D baseline."""
        return max(self.evaluation["baseline_2d"].values())

    @property
    def cut(self) -> float:
        """Part of the 2D baseline's error (1 - mIoU) that the field removes."""
        return (self.miou - self.best_2d) / (1.0 - self.best_2d)


def call(command: Sequence[str | Path], log: Path, threads: int) -> None:
    """Runs a command of the project on `threads` cores; what it prints goes to `log`.

    Raises:
        RuntimeError: it failed; the message ends with the last lines of its log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": str(threads)}
    with log.open("w") as file:
        status = subprocess.run([str(part) for part in command], stdout=file, stderr=file, env=environment, check=False)
    if status.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"{' '.join(str(part) for part in command)} failed:\n{tail}")


def train(root: Path, name: str, data: Path, seed: int, flags: Sequence[str | Path], threads: int) -> Run:
    """Trains `ovs3d-tiny` into ROOT/NAME unless a finished run lies there."""
    run = Run(root / name / "ovs3d-tiny" / f"seed-{seed}")
    done = run.folder / "done"
    if not done.exists():
        call(
            [BIN / "ns-train", "ovs3d-tiny", "--data", data, "--output-dir", root, "--experiment-name", name,
             "--timestamp", f"seed-{seed}", "--machine.seed", str(seed), "--vis", "tensorboard", *flags],
            root / "logs" / f"{name}-{seed}.log",
            threads,
        )  # fmt: skip
        done.touch()
    return run


def evaluate(run: Run, baseline: bool, threads: int) -> Run:
    """Evaluates a run unless its eval.json lies there."""
    if not (run.folder / "eval" / "eval.json").exists():
        flags = ["--baseline-2d"] if baseline else []
        call([BIN / "ovs3d", "eval", run.folder, *flags], run.folder / "eval.log", threads)
    return run
