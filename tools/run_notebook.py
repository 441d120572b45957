"""Runs docs/ask-a-scene.ipynb on a run and keeps its outputs, with small pictures."""

import base64
import io
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import tyro
from nbclient import NotebookClient
from PIL import Image

NOTEBOOK = Path("docs/ask-a-scene.ipynb")
WIDEST, QUALITY = 720, 80
"""Pixels, and of JPEG."""


def execute(notebook: Path, parameters: dict[str, str]) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in its own folder.

    Args:
        notebook: the file, which is left as it is.
        parameters: environment variables of its kernel.

    Raises:
        CellExecutionError: a cell failed.
    """
    content = nbformat.read(notebook, as_version=4)
    here = {"metadata": {"path": notebook.parent}}
    client = NotebookClient(content, timeout=600, record_timing=False, resources=here)
    client.execute(env=os.environ | parameters)
    return content


def shrink(content: nbformat.NotebookNode) -> None:
    """Makes every picture a small JPEG, and drops progress bars and warnings, which name folders of the machine."""
    for cell in content.cells:
        if "outputs" in cell:
            shown = [output for output in cell.outputs if output.output_type != "display_data"]
            cell.outputs = [output for output in shown if output.get("name") != "stderr"]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
                picture.thumbnail((WIDEST, WIDEST))
                buffer = io.BytesIO()
                picture.save(buffer, format="JPEG", quality=QUALITY)
                output["data"] = {"image/jpeg": base64.b64encode(buffer.getvalue()).decode("ascii")}


def main(
    run: Path = Path("outputs/demo/ovs3d-tiny/seed-0"), data: Path = Path("data/room"), notebook: Path = NOTEBOOK
) -> None:
    """Writes the notebook with the outputs that it has on a run.

    Args:
        run: its folder.
        data: the scene's folder.
        notebook: the file.
    """
    with TemporaryDirectory() as out:
        paths = {"OVS3D_RUN": run.resolve(), "OVS3D_DATA": data.resolve(), "OVS3D_OUT": out}
        content = execute(notebook, {name: str(path) for name, path in paths.items()})
    shrink(content)
    nbformat.write(content, notebook)


if __name__ == "__main__":
    tyro.cli(main)
