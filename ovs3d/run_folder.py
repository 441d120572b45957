"""What a user may give as RUN: a run folder, its `config.yml`, or a folder above it."""

import logging
from pathlib import Path

from ovs3d.errors import UserError

log = logging.getLogger(__name__)

CONFIG_NAME = "config.yml"
# nerfstudio writes to outputs/<experiment>/<method>/<timestamp>/, so `outputs` is the highest folder that makes sense.
_LEVELS_BELOW = ("*", "*/*", "*/*/*")


def find_run(path: Path) -> Path:
    """Returns the `config.yml` of the run that `path` means; of several runs below a folder, the newest.

    The newest is the one whose `config.yml` was written last. Which one was taken is logged.

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
    # The path decides between files of the same age, so that the choice does not depend on the order of the disk.
    newest = max(found, key=lambda config: (config.stat().st_mtime_ns, str(config)))
    which = "the only run" if len(found) == 1 else f"the newest of {len(found)} runs"
    log.info("Taking %s, %s in %s.", newest.parent, which, path)
    return newest
