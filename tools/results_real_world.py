"""Results on what users bring: real photographs, depth cameras, other layouts; writes docs/results/real-world.json.

Real photographs are no part of the project. They lie in the folder named by OVS3D_REAL_DATA, by default ../shared/data:
`kitchen` (125 RGB-D frames of 7-Scenes' redkitchen) and `fox` (50 photographs of instant-ngp's), each with its
transforms.json. What is not there is skipped and named. Runs are kept under --root; what is complete is not repeated.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
import tyro
from nerfstudio.utils.rich_utils import CONSOLE
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms.functional import to_tensor

from ovs3d.config import tiny
from ovs3d.encoders.open_clip import OpenClipEncoder
from ovs3d.evaluation.report import write_json
from ovs3d.evaluation.results import ResultRow, results_table, write_results
from tools.results import runs
from tools.results.runs import Run
from tools.results.variants import ENCODERS
from tools.write_3d_ovs import Write3DOVS

COMMAND = "make results-real-world"
SEED = 0
SENSOR = "--pipeline.datamanager.sensor-depth"
MAX_SIDE = "--pipeline.datamanager.dataparser.max-side"
FOX_SIDE, FOX_PSNR, FOX_SECONDS = 240, 23.0, 300.0
LAYOUT_POINTS, ENCODER_ERROR = 1.0, 1e-5
"""Targets: percentage points of mIoU, and the largest difference of a number of an embedding."""
ENCODER, CROP = "ViT-B-16", 224


@dataclass
class ResultsRealWorld:
    """Train, measure and write docs/results/real-world.json."""

    data: Path = Path(os.environ.get("OVS3D_REAL_DATA", "../shared/data"))
    """Folder with kitchen/ and fox/."""
    room: Path = Path("data/room")
    """The bundled scene."""
    yard: Path = Path("outputs/yard")
    """A rendered scene with a far background, made by tools/make_scene.py."""
    root: Path = Path("outputs/results-real-world")
    """Where runs are kept."""
    out: Path = Path("docs/results/real-world.json")
    """The rows."""

    def run(self) -> None:
        """Measures everything that is there and writes the rows."""
        rows = [*self.fox(), *self.layout(), *self.kitchen(), *self.far_background(), encoder_row(self.room)]
        write_results(self.out, rows)
        CONSOLE.print(results_table(rows, "real world"))

    def kitchen(self) -> Iterator[ResultRow]:
        """Geometry of a real room, with and without its depth maps, measured with those of the held-out views."""
        for name, sensor in (("without sensor depth", False), ("with sensor depth", True)):
            folder = f"kitchen-{'sensor' if sensor else 'photographs'}"
            run = self.geometry(self.data / "kitchen", folder, (SENSOR, str(sensor)))
            if run is not None:
                yield row(f"kitchen {name}, PSNR", run.psnr, None, "dB")
                yield from depth_rows(f"kitchen {name}", run)

    def fox(self) -> Iterator[ResultRow]:
        """Geometry of a telephone's photographs, and how long all of `ns-train` takes."""
        run = self.geometry(self.data / "fox", "fox", (MAX_SIDE, str(FOX_SIDE)))
        if run is not None:
            yield row(f"fox at {FOX_SIDE} px, PSNR", run.psnr, FOX_PSNR, "dB")
            yield row(f"fox at {FOX_SIDE} px, training", seconds(run), FOX_SECONDS, "s", False)

    def layout(self) -> Iterator[ResultRow]:
        """The bundled scene from its transforms.json and in the layout of 3D-OVS."""
        folder = self.root / "room-3d-ovs"
        if not folder.exists():
            Write3DOVS(self.room, folder).run()
        own = self.train(self.room, "room-transforms", ENCODERS).miou
        other = self.train(folder, "room-3d-ovs-layout", ENCODERS).miou
        yield row("bundled scene from transforms.json, mIoU", own)
        yield row("bundled scene in the layout of 3D-OVS, mIoU", other)
        yield row("difference of the two layouts", 100 * abs(other - own), LAYOUT_POINTS, "points of mIoU", False)

    def far_background(self) -> Iterator[ResultRow]:
        """A yard whose walls are far away, with the default contraction."""
        if self.there(self.yard):
            run = self.train(self.yard, "yard", ENCODERS)
            yield row("yard with a far background, PSNR", run.psnr, None, "dB")
            yield row("yard with a far background, mIoU", run.miou)
            yield from depth_rows("yard with a far background", run)

    def geometry(self, data: Path, name: str, flags: tuple[str, ...]) -> Run | None:
        """An evaluated run of the geometry stage alone, which needs words but never looks at them."""
        if not self.there(data):
            return None
        steps = str(tiny().geometry_steps)
        stage = ("--geometry-steps", steps, "--max-num-iterations", steps)
        return self.train(data, name, (*ENCODERS, "--classes", "an object", "a wall", *stage, *flags))

    def there(self, data: Path) -> bool:
        """Whether a scene exists; one that does not is named."""
        found = (data / "transforms.json").is_file()
        if not found:
            CONSOLE.print(f"Skipped: there is no {data / 'transforms.json'}.", markup=False)
        return found

    def train(self, data: Path, name: str, flags: tuple[str, ...]) -> Run:
        """An evaluated run; how long its training took is kept in it."""
        CONSOLE.log(f"{name}: {data}", markup=False)
        threads, began = os.cpu_count() or 1, time.time()
        run = runs.train(self.root, name, data, SEED, flags, threads)
        if (run.folder / "done").stat().st_mtime >= began:
            write_json(run.folder / "training.json", {"seconds": time.time() - began})
        return runs.evaluate(run, baseline=False, threads=threads)


def seconds(run: Run) -> float:
    """What training took, with the start of the program and the features of the teachers."""
    return json.loads((run.folder / "training.json").read_text())["seconds"]


def depth_rows(name: str, run: Run) -> Iterator[ResultRow]:
    """Relative error of the depth of all held-out pixels whose depth the data knows."""
    for kind, key in (("mean", "abs_rel"), ("median", "median")):
        yield row(f"{name}, depth error, {kind}", 100 * run.evaluation["depth"][key], None, "%", False)


def row(name: str, value: float, target: float | None = None, unit: str = "", higher: bool = True) -> ResultRow:
    """One measured number of the runs with the one seed."""
    return ResultRow(name, value, target, unit, higher, None, (SEED,), COMMAND)


@torch.no_grad()
def encoder_row(room: Path) -> ResultRow:
    """How far embeddings of crops are from open_clip's own preprocessing and forward pass, with random weights."""
    torch.manual_seed(SEED)
    model = open_clip.create_model(ENCODER)
    encoder = OpenClipEncoder(model, ENCODER, "random", torch.device("cpu"), precision=torch.float32)
    photographs = [Image.open(path).crop((0, 0, CROP, CROP)) for path in sorted((room / "images").iterdir())[:4]]
    prepare: Any = image_transform_v2(PreprocessCfg(**encoder.tower.preprocess_cfg), is_train=False)
    expected = encoder.model.encode_image(torch.stack([prepare(photograph) for photograph in photographs]))
    found = encoder.encode_image(torch.stack([to_tensor(photograph) for photograph in photographs]))
    largest = float((found - expected).abs().max())
    return row(f"{ENCODER} with random weights, crops against open_clip", largest, ENCODER_ERROR, "", False)


if __name__ == "__main__":
    tyro.cli(ResultsRealWorld).run()
