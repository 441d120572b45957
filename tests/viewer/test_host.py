"""Where `ns-viewer` listens by default."""

import subprocess
import sys

from nerfstudio.configs.base_config import ViewerConfig

CODE = """
import tyro
from nerfstudio.scripts.viewer.run_viewer import RunViewer
for arguments in (["--load-config", "x"], ["--load-config", "x", "--viewer.websocket-host", "0.0.0.0"]):
    print("host", tyro.cli(RunViewer, args=arguments).viewer.websocket_host)
"""


def test_ns_viewer_listens_here_unless_told_otherwise() -> None:
    printed = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout
    assert [line for line in printed.splitlines() if line.startswith("host")] == ["host 127.0.0.1", "host 0.0.0.0"]


def test_settings_of_other_methods_stay() -> None:
    assert ViewerConfig().websocket_host == "0.0.0.0"
