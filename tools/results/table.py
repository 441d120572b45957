"""The rows of the main results, from evaluated runs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import mean, stdev

from ovs3d.evaluation.results import ResultRow
from tools.results.runs import Run
from tools.results.variants import ABLATIONS, ORACLE_TOKENS, ORACLE_WINDOWS, Job

COMMAND = "make results-main"


@dataclass(frozen=True)
class MainTable:
    """Rows of docs/results/main.json; a job that was not run has no row."""

    runs: Mapping[Job, Run]
    bundled: str
    family: tuple[str, ...]
    seeds: tuple[int, ...]

    def rows(self) -> Iterator[ResultRow]:
        """All rows, in the order of the table."""
        yield from self.bundled_rows()
        if len(self.family) > 0:
            yield from self.family_rows()
        yield self.over_seeds(
            "all scenes, mean mIoU", [mean(run.miou for run in self.full(seed)) for seed in self.seeds]
        )
        for variant in ABLATIONS:
            if Job(self.bundled, self.seeds[0], variant) in self.runs:
                yield self.ablation_row(variant)

    def bundled_rows(self) -> Iterator[ResultRow]:
        """The scene of the demo."""
        runs = [self.runs[Job(self.bundled, seed)] for seed in self.seeds]
        tokens = [self.runs[Job(self.bundled, seed, ORACLE_TOKENS)].miou for seed in self.seeds]
        windows = [self.runs[Job(self.bundled, self.seeds[0], ORACLE_WINDOWS)].miou]
        yield self.over_seeds("bundled scene, PSNR", [run.psnr for run in runs], 28.0, "dB")
        yield self.over_seeds("bundled scene, mIoU", [run.miou for run in runs], 0.80)
        yield self.over_seeds("bundled scene, mIoU with oracle tokens (clip-dense)", tokens, 0.88)
        yield self.over_seeds("bundled scene, mIoU with oracle windows (clip-crops)", windows, 0.88)
        yield self.over_seeds("bundled scene, 2D baseline mIoU", [run.best_2d for run in runs])
        yield self.over_seeds("bundled scene, cut of the 2D error", [run.cut for run in runs], 0.40)

    def family_rows(self) -> Iterator[ResultRow]:
        """The scenes that nothing was tuned on; the spread of the means is over training seeds."""
        for scene in self.family:
            runs = [self.runs[Job(scene, seed)] for seed in self.seeds]
            yield self.over_seeds(f"family scene {scene}, PSNR", [run.psnr for run in runs], None, "dB")
            yield self.over_seeds(f"family scene {scene}, mIoU", [run.miou for run in runs])
            yield self.over_seeds(f"family scene {scene}, 2D baseline mIoU", [run.best_2d for run in runs])
        by_seed = [[self.runs[Job(scene, seed)] for scene in self.family] for seed in self.seeds]
        yield self.over_seeds("family, mean PSNR", [mean(run.psnr for run in runs) for runs in by_seed], None, "dB")
        yield self.over_seeds("family, mean 2D baseline mIoU", [mean(r.best_2d for r in runs) for runs in by_seed])
        yield self.over_seeds("family, mean mIoU", [mean(run.miou for run in runs) for runs in by_seed], 0.75)
        yield self.over_seeds("family, mean cut of the 2D error", [mean(r.cut for r in runs) for runs in by_seed], 0.40)

    def ablation_row(self, variant: str) -> ResultRow:
        """Mean of the paired differences of mIoU to the full configuration; the spread is over scenes."""
        seed, scenes = self.seeds[0], (self.bundled, *self.family)
        ablated = [self.runs[Job(scene, seed, variant)].miou for scene in scenes]
        changes = [run - full.miou for run, full in zip(ablated, self.full(seed), strict=True)]
        return ResultRow(
            f"{variant}: change of mIoU over {len(changes)} scenes", mean(changes), None, "", True, spread(changes),
            (seed,), COMMAND,
        )  # fmt: skip

    def full(self, seed: int) -> list[Run]:
        """Runs of the full configuration on every scene."""
        return [self.runs[Job(scene, seed)] for scene in (self.bundled, *self.family)]

    def over_seeds(self, name: str, values: list[float], target: float | None = None, unit: str = "") -> ResultRow:
        """Mean and spread over training seeds."""
        seeds = self.seeds[: len(values)]
        return ResultRow(name, mean(values), target, unit, True, spread(values), seeds, COMMAND)


def spread(values: list[float]) -> float | None:
    """Standard deviation; None for a single value."""
    return stdev(values) if len(values) > 1 else None
