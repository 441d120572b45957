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
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from threading import Lock

import tyro
from nerfstudio.utils.rich_utils import CONSOLE

from ovs3d.config import tiny
from ovs3d.evaluation.report import ResultRow, results_table, write_results
from tools.results.oracle import Unit, write_oracle
from tools.results.runs import Run, evaluate, train

FAMILY = ("101", "102", "103")
WEIGHTS = "--pipeline.model.loss-weights"
ENCODERS = ("--encoder", "tiny-clip", "--dino", "tiny-dino")
VARIANTS: dict[str, tuple[str, ...]] = {
    "full": (),
    "uniform mean of levels": ("--pipeline.model.selection", "False"),
    "level 1/5 alone": ("--pipeline.datamanager.levels", "0"),
    "level 1/7 alone": ("--pipeline.datamanager.levels", "1"),
    "level 1/10 alone": ("--pipeline.datamanager.levels", "2"),
    "without RDA": (f"{WEIGHTS}.rda", "0"),
    "without FDA": (f"{WEIGHTS}.fda-positive", "0", f"{WEIGHTS}.fda-negative", "0"),
    "without DINO head": (f"{WEIGHTS}.patch-feature", "0"),
    "relevancy normalised per view": ("--pipeline.model.normalise-per-view", "True"),
    "half of the CLIP views": ("--pipeline.datamanager.feature-views", "0.5"),
    "a tenth of the CLIP views": ("--pipeline.datamanager.feature-views", "0.1"),
    "authors' constants": (
        "--teachers", "clip-crops", "dino", "--pipeline.datamanager.feature-views", "0.5",
        "--pipeline.model.normalise-per-view", "True", "--pipeline.model.rendered-temperature", "1",
        "--pipeline.model.selected-temperature", "1", "--pipeline.model.selection-sharpness", "1",
        "--pipeline.model.rda-normalise", "False", "--pipeline.model.fda-temperature", "0.2",
        f"{WEIGHTS}.rda", "1", f"{WEIGHTS}.fda-positive", "200", f"{WEIGHTS}.fda-negative", "0.2",
    ),
}  # fmt: skip
"""Flags of every variant, on top of `ovs3d-tiny`."""
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
    """Also train every ablation on every scene, one seed each."""
    workers: int = 2
    """Runs at a time."""

    def run(self) -> None:
        """Measures everything and writes the rows."""
        self.train_all()
        rows = list(self.rows())
        write_results(self.out, rows)
        CONSOLE.print(results_table(rows, "main results"))

    @property
    def scenes(self) -> dict[str, Path]:
        """Family scenes that exist."""
        return {name: self.family / name for name in FAMILY if (self.family / name / "transforms.json").exists()}

    def train_all(self) -> None:
        """Trains and evaluates all that the rows ask for, the full configuration first."""
        runs = [("room", self.room, seed) for seed in self.seeds]
        runs += [(name, path, seed) for seed in self.seeds for name, path in self.scenes.items()]
        jobs = [partial(self.variant, *run, "full") for run in runs]
        jobs += [partial(self.oracle, "room", self.room, seed, "tokens") for seed in self.seeds]
        jobs += [partial(self.oracle, "room", self.room, self.seeds[0], "windows")]
        if self.ablations:
            every = {"room": self.room, **self.scenes}.items()
            jobs += [partial(self.variant, *scene, self.seeds[0], name) for name in VARIANTS for scene in every]
        with ThreadPoolExecutor(self.workers) as pool:
            for _ in pool.map(lambda job: job(), jobs):
                pass

    def rows(self) -> Iterator[ResultRow]:
        """All rows, in the order of the table."""
        runs = [self.variant("room", self.room, seed, "full") for seed in self.seeds]
        tokens = [self.oracle("room", self.room, seed, "tokens") for seed in self.seeds]
        windows = self.oracle("room", self.room, self.seeds[0], "windows")
        yield self.row("bundled scene, PSNR", [run.evaluation["psnr"] for run in runs], 28.0, "dB")
        yield self.row("bundled scene, mIoU", [run.miou for run in runs], 0.80)
        yield self.row("bundled scene, mIoU with oracle tokens (clip-dense)", [run.miou for run in tokens], 0.88)
        yield self.row("bundled scene, mIoU with oracle windows (clip-crops)", [windows.miou], 0.88)
        yield self.row("bundled scene, 2D baseline mIoU", [run.best_2d for run in runs])
        yield self.row("bundled scene, cut of the 2D error", [cut(run) for run in runs], 0.40)
        yield from self.family_rows()
        if self.ablations:
            yield from self.ablation_rows({"room": self.room, **self.scenes})

    def family_rows(self) -> Iterator[ResultRow]:
        """The scenes that nothing was tuned on; the spread of the means is over training seeds."""
        by_seed = [
            [self.variant(name, path, seed, "full") for name, path in self.scenes.items()] for seed in self.seeds
        ]
        for name, runs in zip(self.scenes, zip(*by_seed, strict=True), strict=True):
            yield self.row(f"family scene {name}, PSNR", [run.evaluation["psnr"] for run in runs], None, "dB")
            yield self.row(f"family scene {name}, mIoU", [run.miou for run in runs])
            yield self.row(f"family scene {name}, 2D baseline mIoU", [run.best_2d for run in runs])
        if len(self.scenes) > 0:
            yield self.row("family, mean mIoU", [mean(run.miou for run in runs) for runs in by_seed], 0.75)
            yield self.row("family, mean cut of the 2D error", [mean(map(cut, runs)) for runs in by_seed], 0.40)

    def ablation_rows(self, scenes: dict[str, Path]) -> Iterator[ResultRow]:
        """Paired differences of mIoU to the full configuration; the spread is over scenes."""
        seed = self.seeds[0]
        full = {name: self.variant(name, path, seed, "full").miou for name, path in scenes.items()}
        for variant in VARIANTS:
            if variant != "full":
                pairs = [self.variant(name, path, seed, variant).miou - full[name] for name, path in scenes.items()]
                spread = stdev(pairs) if len(pairs) > 1 else None
                yield ResultRow(f"ablation, {variant}: change of mIoU over {len(pairs)} scenes", mean(pairs), None, "",
                                True, spread, (seed,), "make results-main")  # fmt: skip

    def variant(self, scene: str, data: Path, seed: int, variant: str) -> Run:
        """One semantic run on the scene's shared geometry, evaluated."""
        flags = (*ENCODERS, *VARIANTS[variant])
        return self.semantics(scene, data, seed, variant.replace(" ", "-").replace("/", "_"), flags, variant == "full")

    def oracle(self, scene: str, data: Path, seed: int, unit: Unit) -> Run:
        """The full configuration on oracle features."""
        folder = self.root / "oracle" / f"{scene}-{unit}"
        if not (folder / "meta.json").exists():
            write_oracle(data, folder, unit)
        flags = ("--features", str(folder), "--teachers", "files", "dino", "--dino", "tiny-dino")
        return self.semantics(scene, data, seed, f"oracle-{unit}", flags, False)

    def semantics(self, scene: str, data: Path, seed: int, name: str, flags: tuple[str, ...], baseline: bool) -> Run:
        """Trains the geometry once, then the semantics with `flags`."""
        CONSOLE.log(f"{scene}, seed {seed}: {name}")
        steps = str(tiny().geometry_steps)
        threads = max(1, (os.cpu_count() or 1) // self.workers)
        with BUSY[scene, seed]:
            geometry = train(
                self.root, f"{scene}-geometry", data, seed,
                (*ENCODERS, "--geometry-steps", steps, "--max-num-iterations", steps), threads,
            )  # fmt: skip
        flags = ("--load-geometry", str(geometry.folder), *flags)
        return evaluate(train(self.root, f"{scene}-{name}", data, seed, flags, threads), baseline, threads)

    def row(self, name: str, values: list[float], target: float | None = None, unit: str = "") -> ResultRow:
        """Mean and spread over training seeds."""
        spread = stdev(values) if len(values) > 1 else None
        seeds = self.seeds[: len(values)]
        return ResultRow(name, mean(values), target, unit, True, spread, seeds, "make results-main")


def cut(run: Run) -> float:
    """Part of the 2D baseline's error (1 - mIoU) that the field removes."""
    return (run.miou - run.best_2d) / (1.0 - run.best_2d)


if __name__ == "__main__":
    tyro.cli(ResultsMain).run()
