"""Where everything is kept that can be made again."""

import os
from pathlib import Path


def user_cache() -> Path:
    """`$OVS3D_CACHE`, or else `~/.cache/ovs3d`."""
    root = os.environ.get("OVS3D_CACHE")
    return Path(root) if root else Path.home() / ".cache" / "ovs3d"
