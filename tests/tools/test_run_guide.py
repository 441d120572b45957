"""The guide's examples: run in order, their outputs replaced, everything else left as it is."""

import re
from pathlib import Path

import pytest

from tools.benchmarks.processes import Usage
from tools.run_guide import GUIDE, refreshed, shown

TEXT = """Words.

```console
$ echo one \\
    two
old
# 9 s, 9.9 GB at most
```

```bash
ns-train ovs3d
```

```console
$ pwd; cat told
```
"""


def test_outputs_are_those_of_now_and_a_second_time_changes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "told").write_text("of before\n")
    first = refreshed(TEXT, tmp_path)
    assert re.search(r"\$ echo one \\\n    two\none two\n# 0 s, \d+\.\d GB at most\n```\n", first)
    assert "old\n#" not in first and "```bash\nns-train ovs3d\n```\n" in first
    assert f"$ pwd; cat told\n{tmp_path}\nof before\n# 0 s" in first
    costs = re.compile("^# .*", re.MULTILINE)
    assert costs.sub("", refreshed(first, tmp_path)) == costs.sub("", first)


def test_long_outputs_are_cut_and_bars_and_folders_left_out(tmp_path: Path) -> None:
    assert (
        shown("\n".join(str(line) for line in range(100)), tmp_path)
        == "...\n88\n89\n90\n91\n92\n93\n94\n95\n96\n97\n98\n99\n"
    )
    assert shown("\x1b[30;42mViewer\x1b[0m  \x1b[0m\n", tmp_path) == "Viewer\n"
    assert shown(f"Rendering ━━━ 100%\n\nVideo: {tmp_path}/a.mp4 \n", tmp_path) == "Video: a.mp4\n"


def test_failing_command_stops_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"(?s)status 3.*no such thing"):
        refreshed("```console\n$ echo no such thing; exit 3\n```\n", tmp_path)


def test_every_command_of_the_guide_has_its_cost_shown(tmp_path: Path) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    commands = []
    refreshed(text, tmp_path, lambda command, _: (commands.append(command), ("", Usage(0.0, 0.0)))[1])
    assert len(commands) >= 7
    for block in text.split("```console\n")[1:]:
        assert " GB at most\n" in block.split("```")[0]
