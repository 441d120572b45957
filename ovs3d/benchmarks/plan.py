"""What the runs of one benchmark have in common."""

import logging
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ovs3d.benchmarks.runs import train
from ovs3d.data.splits import Protocol
from ovs3d.errors import UserError
from ovs3d.scene import Scene

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How the scenes of one benchmark are trained, and where the runs are kept."""

    dataset: str
    """Name of the benchmark: `3d-ovs` or `lerf-ovs`."""
    data: Path
    """Folder with one folder per scene."""
    out: Path
    """Runs and logs go there."""
    method: str
    protocol: Protocol
    seed: int
    flags: tuple[str, ...] = ()
    """Of `ns-train`, for every scene."""

    @property
    def command(self) -> str:
        """What a user types for these numbers."""
        words = ["ovs3d", "bench", self.dataset, "--data", str(self.data), "--protocol", self.protocol]
        words += ["--method", self.method, "--seed", str(self.seed), *(["--", *self.flags] if self.flags else [])]
        return shlex.join(words)

    @property
    def split(self) -> str:
        """What was trained on, in words."""
        return "the measured views are trained on" if self.protocol == "paper" else "the measured views are held out"

    def found(self, scenes: Sequence[str]) -> list[str]:
        """The scenes that have a folder; the others are named and skipped.

        Raises:
            UserError: none has one.
        """
        there = [scene for scene in scenes if (self.data / scene).is_dir()]
        if len(there) == 0:
            raise UserError(
                f"{self.data} holds none of the folders {', '.join(scenes)}; give their parent with --data."
            )
        missing = [scene for scene in scenes if scene not in there]
        if missing:
            log.info("Skipped, without a folder in %s: %s.", self.data, ", ".join(missing))
        return there

    def measure(
        self, scene: str, flags: Sequence[str], scores: Callable[[Scene], dict[str, float]]
    ) -> dict[str, float]:
        """Trains a scene, unless that has been done, and scores the run on the best device of this machine.

        Nothing of the run stays in the GPU's memory, where the next scene is trained.

        Raises:
            UserError: see `ovs3d.benchmarks.runs.train`.
        """
        from ovs3d.config import best_device

        log.info("%s, %s: %s, %s.", self.dataset, scene, self.method, self.split)
        protocol = ("--pipeline.datamanager.dataparser.protocol", self.protocol)
        name = f"{self.dataset}-{self.protocol}-{scene}"
        every = (*protocol, *flags, *self.flags)
        found = scores(
            Scene.load(train(self.out, name, self.method, self.data / scene, self.seed, every), best_device())
        )
        torch.cuda.empty_cache()
        return found
