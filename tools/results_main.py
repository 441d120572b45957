"""The main results: bundled scene and family, oracle, 2D baseline and ablations; writes docs/results/main.json.

Every number comes from runs kept under --root: what is complete is not repeated, so an interrupted call goes on where
it stopped. All variants of a scene share its geometry run and the feature cache. Several runs go on side by side, each
with its share of the cores: small batches leave a second core half idle.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from ovs3d.config import tiny
from ovs3d.evaluation.results import results_table, write_results
from tools.results.oracle import Unit, write_oracle
from tools.results.runs import Run, evaluate, train
from tools.results.table import MainTable
from tools.results.variants import ABLATIONS, ENCODERS, FULL, ORACLE_TOKENS, ORACLE_WINDOWS, Job

BUNDLED, FAMILY = "room", ("101", "102", "103")
ORACLE_UNITS: dict[str, Unit] = {ORACLE_TOKENS: "tokens", ORACLE_WINDOWS: "windows"}
BUSY: defaultdict[tuple[str, int], Lock] = defaultdict(Lock)
"""Held while the geometry of (scene, seed) is trained, which several runs wait for."""


@dataclass
class ResultsMain:
    """Train, measure and write docs/results/main.json."""

    room: Path = Path("data/room")
    """The bundled scene."""
    family: Path = Path("outputs/family")
    """Folder with the family scenes, made by tools/make_scene.py; those that are missing are left out."""
    root: Path = Path("outputs/results-main")
    """Where runs are kept."""
    out: Path = Path("docs/results/main.json")
    """The rows."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Training seeds of the full configuration on every scene."""
    ablations: bool = True
    """Also train every ablation on every scene, with the first seed."""
    workers: int = 2
    """Runs at a time."""

    def run(self) -> None:
        """Measures everything and writes the rows."""
        jobs = list(self.jobs())
        with ThreadPoolExecutor(self.workers) as pool:
            runs = dict(zip(jobs, pool.map(self.complete, jobs), strict=True))
        rows = list(MainTable(runs, BUNDLED, tuple(self.scenes)[1:], self.seeds).rows())
        write_results(self.out, rows)
        CONSOLE.print(results_table(rows, "main results"))

    @property
    def scenes(self) -> dict[str, Path]:
        """Folders of the bundled scene and of the family scenes that exist."""
        there = {name: self.family / name for name in FAMILY if (self.family / name / "transforms.json").exists()}
        return {BUNDLED: self.room, **there}

    def jobs(self) -> Iterator[Job]:
        """All that the rows ask for, the full configuration first."""
        yield from (Job(scene, seed) for scene in self.scenes for seed in self.seeds)
        yield from (Job(BUNDLED, seed, ORACLE_TOKENS) for seed in self.seeds)
        yield Job(BUNDLED, self.seeds[0], ORACLE_WINDOWS)
        if self.ablations:
            yield from (Job(scene, self.seeds[0], name) for name in ABLATIONS for scene in self.scenes)

    def complete(self, job: Job) -> Run:
        """Trains what is missing of the scene's geometry and of the job, and evaluates it."""
        CONSOLE.log(f"{job.scene}, seed {job.seed}: {job.variant}")
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        data, steps = self.scenes[job.scene], str(tiny().geometry_steps)
        with BUSY[job.scene, job.seed]:
            geometry = train(
                self.root, f"{job.scene}-geometry", data, job.seed,
                (*ENCODERS, "--geometry-steps", steps, "--max-num-iterations", steps), threads,
            )  # fmt: skip
        flags = ("--load-geometry", str(geometry.folder), *self.flags(job))
        run = train(self.root, job.folder, data, job.seed, flags, threads)
        return evaluate(run, baseline=job.variant == FULL, threads=threads)

    def flags(self, job: Job) -> tuple[str, ...]:
        """What tells the job's variant from `ovs3d-tiny`."""
        if job.variant in ORACLE_UNITS:
            unit = ORACLE_UNITS[job.variant]
            folder = self.root / "oracle" / f"{job.scene}-{unit}"
            with BUSY[f"oracle {unit}", 0]:
                if not (folder / "meta.json").exists():
                    write_oracle(self.scenes[job.scene], folder, unit)
            return "--features", str(folder), "--teachers", "files", "dino", "--dino", "tiny-dino"
        return *ENCODERS, *ABLATIONS.get(job.variant, ())


if __name__ == "__main__":
    tyro.cli(ResultsMain).run()
