"""`ovs3d demo`: the main job end to end on the bundled scene."""

import resource
import shutil
import time
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from ovs3d.cli.command import Command, Report


@dataclass
class Demo(Command):
    """Train on the bundled scene, evaluate on held-out views and render a video, without network or GPU."""

    data: Path = Path("data/room")
    """Scene folder; the bundled one lies in the checkout."""
    output_dir: Path = Path("outputs")
    """Results go to OUTPUT_DIR/demo."""
    seed: int = 0
    """Of training."""
    frames: int = 48
    """Frames of the video."""

    def run(self) -> Report:
        """Runs the whole chain and writes summary.json."""
        from nerfstudio.scripts.train import main as train
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.cli.eval import table
        from ovs3d.config import best_device, ovs3d_tiny_method
        from ovs3d.evaluation import protocols
        from ovs3d.evaluation.report import write_json
        from ovs3d.export.frames import check_numbers, painter, write_video
        from ovs3d.export.paths import camera_path
        from ovs3d.export.video import VideoWriter
        from ovs3d.scene import Scene
        from ovs3d.trainer import OVS3DTrainerConfig

        check_numbers(self.frames)
        began = time.monotonic()
        out = self.output_dir / "demo"
        config = deepcopy(ovs3d_tiny_method.config)
        assert isinstance(config, OVS3DTrainerConfig)
        config.data, config.output_dir = self.data, self.output_dir
        config.experiment_name, config.timestamp = "demo", f"seed-{self.seed}"
        config.encoder, config.dino = "tiny-clip", "tiny-dino"
        config.vis, config.machine.seed = "tensorboard", self.seed
        config.steps_per_save = config.max_num_iterations  # A checkpoint tells that training was not interrupted.
        config.prepare()  # Bad input is refused before anything is removed.
        shutil.rmtree(config.get_checkpoint_dir(), ignore_errors=True)
        train(config)
        training_seconds = time.monotonic() - began
        device = best_device()
        scene = Scene.load(config.get_base_dir(), device)
        results = protocols.evaluate(scene, figures=out / "figures")
        if results["segmentation"] is not None:
            results["baseline_2d"] = protocols.baseline_2d(scene, device)
        video = out / "segmentation.mp4"
        write_video(painter(scene), camera_path(scene, "orbit", self.frames), VideoWriter(video, fps=12))
        summary = summarise(results)
        summary["training_seconds"] = training_seconds
        summary["seconds"] = time.monotonic() - began
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # So Linux counts.
        summary["peak_memory_gb"] = peak_kib * 1024 / 1e9
        write_json(out / "summary.json", summary)
        CONSOLE.print(table(results))
        CONSOLE.print(f"{summary['seconds']:.0f} s, {summary['peak_memory_gb']:.1f} GB at most")
        run = config.get_base_dir()
        CONSOLE.print(f"Run:     {run}\nVideo:   {video}\nFigures: {out / 'figures'}", markup=False)
        written = {"video": video, "figures": out / "figures", "summary": out / "summary.json"}
        return Report({**summary, "run": run, "written": written})


def summarise(results: dict) -> dict[str, float | None]:
    """The numbers of `protocols.evaluate` that `summary.json` holds; None where the scene has no labels."""
    scores = results["segmentation"] or {}
    baseline = results.get("baseline_2d")
    return {
        "miou": scores.get("miou"),
        "macc": scores.get("macc"),
        "pixel_accuracy": scores.get("pixel_accuracy"),
        "psnr": results["psnr"],
        "baseline_2d_miou": max(baseline.values()) if baseline else None,
    }
