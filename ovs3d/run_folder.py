"""What a user may give as RUN: a run folder, its `config.yml`, or a folder above it."""

import logging
from contextlib import suppress
from pathlib import Path

from ovs3d.errors import UserError

log = logging.getLogger(__name__)

CONFIG_NAME = "config.yml"
CHECKPOINTS = "nerfstudio_models/step-*.ckpt"
# nerfstudio writes to outputs/<experiment>/<method>/<timestamp>/, so `outputs` is the highest folder that makes sense.
_LEVELS_BELOW = ("*", "*/*", "*/*/*")


def find_run(path: Path) -> Path:
    """Returns the `config.yml` of the run that `path` means; of several runs below a folder, the newest.

    The newest is the one whose `config.yml` was written last; runs without a checkpoint count only where no run has
    one. Which one was taken is logged.

    Raises:
        UserError: There is no run at `path`.
    """
    if path.is_file():
        if path.name == CONFIG_NAME:
            return path
        raise UserError(f"{path} is no run; give a run folder or its {CONFIG_NAME}.")
    if not path.is_dir():
        raise UserError(f"{path} does not exist; give a run folder (outputs/EXPERIMENT/METHOD/TIMESTAMP).")
    if (path / CONFIG_NAME).is_file():
        return path / CONFIG_NAME
    found = [config for level in _LEVELS_BELOW for config in path.glob(f"{level}/{CONFIG_NAME}") if config.is_file()]
    if len(found) == 0:
        raise UserError(f"{path} holds no {CONFIG_NAME}; give a run folder (outputs/EXPERIMENT/METHOD/TIMESTAMP).")
    trained = [config for config in found if any(config.parent.glob(CHECKPOINTS))]
    kept, having = (trained, " with a checkpoint") if 0 < len(trained) < len(found) else (found, "")
    # The path decides between files of the same age, so that the choice does not depend on the order of the disk.
    newest = max(kept, key=lambda config: (config.stat().st_mtime_ns, str(config)))
    which = "the only run" if len(kept) == 1 else f"the newest of {len(kept)} runs"
    log.info("Taking %s, %s%s in %s.", newest.parent, which, having, path)
    return newest


def discard_run(run: Path) -> None:
    """Removes the `config.yml` of a run that could not be set up, and its folders where nothing else lies in them.

    A run that has checkpoints, because it was to be resumed in its own folder, is left as it is.
    """
    if any(run.rglob("*.ckpt")):
        return
    (run / CONFIG_NAME).unlink(missing_ok=True)
    with suppress(OSError):  # Not empty.
        for folder in (run, run.parent, run.parent.parent):
            folder.rmdir()
