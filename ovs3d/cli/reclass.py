"""`ovs3d reclass RUN --classes ...`: other words on the same geometry and features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ovs3d.cli.command import Command, Report


@dataclass
class Reclass(Command):
    """Give a run other classes, for example: ovs3d reclass RUN --classes "red cone" "blue ball" floor."""

    run_path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Run folder or its config.yml."""
    classes: tuple[str, ...]
    """New words, "name" or "name: prompt | prompt"."""
    data: Path | None = None
    """Where the photographs lie now, if they have moved."""
    output_dir: Path | None = None
    """Where the new run goes; by default beside the old one."""
    timestamp: str | None = None
    """Name of the new run's folder; by default the time."""

    def run(self) -> Report:
        """Trains the semantic stage alone, on the stored geometry and the cached features."""
        from nerfstudio.scripts.train import main
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.config import best_device
        from ovs3d.errors import UserError
        from ovs3d.preflight import read_geometry

        path, config = read_geometry(self.run_path)
        config.classes = self.classes
        config.load_geometry = path
        config.load_dir = config.load_step = config.load_checkpoint = None  # The old run may have been resumed.
        config.data = self.data
        config.machine.device_type = best_device()  # The run may come from another machine.
        config.timestamp = self.timestamp or "{timestamp}"
        config.viewer.quit_on_train_completion = True  # Else a run with a viewer waits for ctrl+c at its end.
        if self.output_dir is not None:
            config.output_dir = self.output_dir
        else:  # The host's folder is OUTPUT_DIR/EXPERIMENT/METHOD/TIMESTAMP; the old run may have been moved.
            beside = path.resolve().parent.parent
            config.output_dir, config.experiment_name = beside.parent.parent, beside.parent.name
            config.method_name = beside.name
        if config.get_base_dir().resolve() == path.parent.resolve():
            raise UserError(f"--timestamp {self.timestamp} is the name of {path.parent} itself; give another one.")
        main(config)
        CONSOLE.print(f"Run: {config.get_base_dir()}", markup=False)
        return Report({"run": config.get_base_dir()})
