"""Files as downloads leave them: a Hugging Face cache, and a file that is not what it should be."""

from pathlib import Path

import huggingface_hub
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubCache:
    """The cache of a machine without a network."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Takes the place of the user's cache for the length of a test."""
        self.root = root
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def put(self, repository: str, file: str, content: bytes) -> Path:
        """Stores a file of a repository `ORG/NAME`."""
        folder = self.root / f"models--{repository.replace('/', '--')}"
        path = folder / "snapshots" / COMMIT / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(COMMIT)
        return path


class Exploit:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)
