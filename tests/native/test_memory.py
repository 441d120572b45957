"""Freed blocks are used again."""

import platform
import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource
import torch
from ovs3d.native.memory import keep_freed_memory, return_freed_memory

{setting}
def step():
    first = torch.ones(16_000_000)
    second = first * 2.0
    return (second + first[:10_000_000].sum()).mean()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

for _ in range(30):
    step()
print(sum(faults() for _ in range(10)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc")
def test_large_blocks_are_used_again() -> None:
    counts = {}
    for setting in ("", "keep_freed_memory()", "keep_freed_memory(); return_freed_memory()"):
        program = COUNT_FAULTS.format(setting=setting)
        ran = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        counts[setting] = int(ran.stdout)
    default, kept, returned = counts.values()
    # Pages that are larger than 4 KB make fewer faults, on either side.
    assert default > 0 and kept * 20 < min(default, returned)


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from ovs3d.native import memory

    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: pytest.fail("mallopt is glibc's"))
    memory.keep_freed_memory()
