"""Where everything is kept that can be made again."""

import os
from pathlib import Path


def user_cache() -> Path:
    """`$OVS3D_CACHE`, or else `ovs3d` in `$XDG_CACHE_HOME` or `~/.cache`."""
    own = os.environ.get("OVS3D_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ovs3d"
