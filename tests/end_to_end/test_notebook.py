"""The notebook runs from its first cell to its last, on the small run."""

from pathlib import Path

import nbformat
import pytest

from tools.run_notebook import NOTEBOOK, execute


@pytest.mark.slow
def test_notebook_runs(run: Path, scene_folder: Path, tmp_path: Path) -> None:
    parameters = {
        "OVS3D_RUN": str(run),
        "OVS3D_DATA": str(scene_folder),
        "OVS3D_WORDS": "red box",
        "OVS3D_OUT": str(tmp_path),
    }
    content = execute(NOTEBOOK.resolve(), parameters)
    cells = [cell for cell in content.cells if cell.cell_type == "code"]
    shown = [output.get("data", {}) for cell in cells for output in cell.outputs]
    assert sum("image/png" in data for data in shown) >= 5
    assert any("no image encoder" in data.get("text/plain", "") for data in shown)
    assert {path.name for path in tmp_path.iterdir()} == {"boxes.json", "features.npz", "picture.png", "points.ply"}
    printed = "".join(output.text for cell in cells for output in cell.outputs if output.output_type == "stream")
    assert "are like 'red box'" in printed


def test_committed_notebook_is_small_and_has_the_outputs_of_a_run() -> None:
    content = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(content)
    assert NOTEBOOK.stat().st_size < 500_000
    outputs = [output for cell in content.cells for output in cell.get("outputs", [])]
    assert any("image/jpeg" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)
