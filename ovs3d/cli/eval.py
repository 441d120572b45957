"""`ovs3d eval RUN`: numbers and figures of a run on its held-out views."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from ovs3d.cli.command import Command, Report, chosen_device


@dataclass
class Eval(Command):
    """Measure a run on its held-out views, for example: ovs3d eval outputs/room/ovs3d-tiny/2026-01-01_120000."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder or its config.yml."""
    out: Path | None = None
    """Folder for eval.json and the figures; by default RUN/eval."""
    masks: Path | None = None
    """Also write the predicted label maps here, one 8-bit PNG a view, classes in the order asked."""
    baseline_2d: bool = False
    """Also measure the 2D teacher alone on the held-out photographs."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""
    data: Path | None = None
    """Where the photographs lie now, if they have moved."""

    def run(self) -> Report:
        """Evaluates, prints a table and writes JSON."""
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.errors import UserError
        from ovs3d.evaluation import protocols
        from ovs3d.evaluation.report import write_json
        from ovs3d.run_folder import find_run
        from ovs3d.scene import Scene

        config_path = find_run(self.run_path)
        out = self.out or config_path.parent / "eval"
        device = chosen_device(self.device)
        scene = Scene.load(config_path, device, self.data)
        if self.masks is not None and not scene.model.has_semantics:
            raise UserError(
                f"{config_path.parent} stopped in its geometry stage and has no masks: leave --masks out, or resume it "
                "with ns-train --load-dir."
            )
        results = protocols.evaluate(scene, figures=out / "figures", masks=self.masks)
        write_json(out / "eval.json", results)
        if self.baseline_2d and results["segmentation"] is None:
            CONSOLE.print("The 2D teacher is not measured: there are no labels, or no semantics yet.")
        elif self.baseline_2d:  # It may fail, for want of weights, say; what was measured until here is written.
            results["baseline_2d"] = protocols.baseline_2d(scene, device)
            write_json(out / "eval.json", results)
        CONSOLE.print(table(results))
        CONSOLE.print(f"Numbers: {out / 'eval.json'}", markup=False)
        figures = out / "figures" if results["segmentation"] is not None else None
        written = {"numbers": out / "eval.json", "figures": figures, "masks": self.masks}
        return Report({**results, "written": written})


def table(results: dict[str, Any]) -> Any:
    """A rich table of the results of `protocols.evaluate`."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title="held-out views", show_header=False)
    shown.add_row("PSNR", f"{results['psnr']:.2f} dB")
    shown.add_row("SSIM", f"{results['ssim']:.3f}")
    depth = results["depth"]
    if depth is not None:
        shown.add_row("depth, relative error", f"{depth['abs_rel']:.3f}, median {depth['median']:.3f}")
    scores = results["segmentation"]
    if scores is None:
        shown.add_row("mIoU", "no labels, or no semantics yet")
        return shown
    for name, key in (("mIoU", "miou"), ("mAcc", "macc"), ("fw IoU", "fwiou"), ("pixel accuracy", "pixel_accuracy")):
        shown.add_row(name, f"{scores[key]:.3f}")
    shown.add_row("mIoU, per view (3D-OVS)", f"{results['paper']['miou_paper']:.3f}")
    for name, value in scores["iou"].items():
        shown.add_row(f"  {escape(name)}", "not in the labels" if name in scores["absent"] else f"{value:.3f}")
    baseline = results.get("baseline_2d")
    if baseline:
        best = max(baseline, key=lambda name: baseline[name])
        cut = (scores["miou"] - baseline[best]) / max(1.0 - baseline[best], 1e-9)
        shown.add_row(f"2D teacher alone ({escape(best)})", f"{baseline[best]:.3f}")
        shown.add_row("error cut against it", f"{100 * cut:.0f} %")
    return shown
