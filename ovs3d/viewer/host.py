"""Where `ns-viewer` listens by default."""

import dataclasses

from nerfstudio.configs.base_config import ViewerConfig

HERE = "127.0.0.1"


def listen_here() -> None:
    """Makes this machine alone the default of `ns-viewer`, which listens to every network otherwise.

    `ns-viewer` does not read the host from the run's configuration: it derives a class of its own from `ViewerConfig`
    after it has imported the methods, and takes the defaults from there. It does so before it knows the run, so that
    the default is that of all methods; `--viewer.websocket-host` still decides. `ViewerConfig()` itself keeps its own.
    """
    (host,) = (field for field in dataclasses.fields(ViewerConfig) if field.name == "websocket_host")
    host.default = HERE
