"""An `ffmpeg` program for the host's commands, on machines where none is installed.

nerfstudio looks for a program of that name on PATH, both itself and through mediapy. The package imageio-ffmpeg brings
the program under another name, so a private folder with a link of the right name is put at the end of PATH.
"""

import logging
import os
import shutil
from pathlib import Path

from ovs3d.cache import user_cache

log = logging.getLogger(__name__)


def ensure_ffmpeg() -> Path | None:
    """Makes `ffmpeg` findable in this process and its children, and returns where it is, or None if there is none.

    Cheap, and never raises because of what it finds on the machine: every `ns-*` command calls it at start-up. An
    ffmpeg that is on PATH already always wins.
    """
    installed = shutil.which("ffmpeg")
    if installed is not None:
        return Path(installed)
    try:
        link = _bundled_link(user_cache() / "bin" / "ffmpeg")
    except (ImportError, OSError, RuntimeError) as error:
        log.warning("No ffmpeg was found, so videos cannot be written by ns-render: %s", error)
        return None
    os.environ["PATH"] = os.pathsep.join(filter(None, (os.environ.get("PATH"), str(link.parent))))
    return link


def _bundled_link(link: Path) -> Path:
    """Returns `link`, made anew if the program it points to is gone, as after the removal of an environment."""
    if os.access(link, os.X_OK):
        return link
    # Imported here, because finding the program runs it once, which a start-up should not pay twice.
    import imageio_ffmpeg

    program = shutil.which(imageio_ffmpeg.get_ffmpeg_exe())
    if program is None:
        raise RuntimeError("imageio-ffmpeg has no program for this machine; install ffmpeg.")
    link.parent.mkdir(parents=True, exist_ok=True)
    # Renamed into place, so that two commands that start together cannot disturb each other.
    draft = link.with_name(f"{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(Path(program).resolve())
    draft.replace(link)
    return link
