"""Runs that results are made of: trained, evaluated and kept; what is complete is not repeated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ovs3d.benchmarks import runs


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


def train(root: Path, name: str, data: Path, seed: int, flags: Sequence[str | Path], threads: int) -> Run:
    """Trains `ovs3d-tiny` into ROOT/NAME unless a finished run lies there."""
    return Run(runs.train(root, name, "ovs3d-tiny", data, seed, flags, threads))


def evaluate(run: Run, baseline: bool, threads: int) -> Run:
    """Evaluates a run unless its eval.json lies there."""
    if not (run.folder / "eval" / "eval.json").exists():
        flags = ["--baseline-2d"] if baseline else []
        runs.call(["ovs3d", "eval", run.folder, *flags], run.folder / "eval.log", threads)
    return run
