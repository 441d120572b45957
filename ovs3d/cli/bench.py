"""`ovs3d bench`: public benchmarks, beside the published numbers."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from ovs3d.cli.command import Command, Report


@dataclass
class Bench(Command):
    """Train every scene of a benchmark that has not been trained yet, and measure all of them."""

    dataset: Annotated[Literal["3d-ovs", "lerf-ovs"], tyro.conf.Positional]
    """3d-ovs measures masks of all classes, for example: ovs3d bench 3d-ovs --data 3d-ovs --protocol paper.
    lerf-ovs measures queries that are marked in LabelMe files: localisation and mIoU."""
    data: Path
    """Folder with one folder per scene; of lerf-ovs also label/<scene>/<image stem>.json."""
    protocol: Literal["held-out", "paper"] = "held-out"
    """Whether the measured views stay unseen; paper trains on them too, as the published numbers do."""
    method: Literal["ovs3d", "ovs3d-tiny", "ovs3d-paper"] = "ovs3d"
    """ovs3d-tiny has sizes for two CPU cores, ovs3d-paper the authors' constants."""
    seed: int = 0
    """Of training."""
    output_dir: Path = Path("outputs/bench")
    """Runs, their logs and the table go there."""
    configs: Path = Path("configs/3d-ovs")
    """One YAML file per scene of 3d-ovs; the known ones lie in the checkout."""
    flags: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[-- FLAGS]")] = ()
    """Flags of ns-train for every scene, for example: -- --encoder tiny-clip --dino tiny-dino."""

    def run(self) -> Report:
        """Trains and measures, prints a table and writes its rows."""
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.benchmarks.lerf import bench_lerf_ovs
        from ovs3d.benchmarks.ovs import bench_3d_ovs
        from ovs3d.benchmarks.plan import Plan
        from ovs3d.benchmarks.published import LERF_MEAN, OVS_MEAN, PUBLISHED_3D_OVS, PUBLISHED_LERF_OVS
        from ovs3d.benchmarks.tables import comparison, result_rows
        from ovs3d.evaluation.results import write_results

        plan = Plan(self.dataset, self.data, self.output_dir, self.method, self.protocol, self.seed, self.flags)
        if self.dataset == "3d-ovs":
            measured, published, scenes = bench_3d_ovs(plan, self.configs), PUBLISHED_3D_OVS, OVS_MEAN
        else:
            measured, published, scenes = bench_lerf_ovs(plan), PUBLISHED_LERF_OVS, LERF_MEAN
        out = self.output_dir / f"{self.dataset}-{self.protocol}-{self.method}-{self.seed}.json"
        rows = result_rows(measured, scenes, self.seed, plan.command)
        write_results(out, rows)
        title = f"{self.dataset}: {self.method}, {plan.split}; percent"
        CONSOLE.print(comparison(title, measured, published, scenes))
        CONSOLE.print(f"Rows: {out}", markup=False)
        written = {"rows": out, "table": out.with_suffix(".md")}
        return Report({"rows": [asdict(row) for row in rows], "written": written})
