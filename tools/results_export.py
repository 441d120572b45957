"""How true exports are: labels of points and places of meshes against exact depth and labels; writes rows."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
import tyro
from nerfstudio.utils.rich_utils import CONSOLE
from plyfile import PlyData
from scipy.spatial import KDTree

from ovs3d.cli.export import Export
from ovs3d.evaluation.metrics import ConfusionMatrix
from ovs3d.evaluation.results import ResultRow, results_table, write_results
from ovs3d.run_folder import find_run
from ovs3d.safe_yaml import load_config
from ovs3d.trainer import OVS3DTrainerConfig
from tools.results.truth import Truth, read_truth

POINTS_MIOU, MESH_ERROR = 0.9, 1.0
"""Targets: mIoU of the points, and percent of the scene's extent."""


def points_miou(cloud: Path, truth: Truth, classes: tuple[str, ...]) -> float:
    """mIoU of a PLY's labels against those of the nearest true surface points."""
    vertices = PlyData.read(cloud)["vertex"]
    points = np.stack([vertices[axis] for axis in "xyz"], axis=-1)
    nearest = KDTree(truth.points).query(points)[1]
    confusion = ConfusionMatrix(classes)
    predicted = torch.from_numpy(np.array(vertices["label"], np.int64))
    confusion.update(predicted[None], torch.from_numpy(truth.labels[nearest])[None])
    return confusion.summary()["miou"]


def mesh_error(path: Path, truth: Truth) -> float:
    """Median distance of places spread evenly over a mesh to the true surface, in percent of the scene's extent."""
    mesh = trimesh.load_mesh(path)
    places = trimesh.sample.sample_surface(mesh, 100_000, seed=0)[0]
    distance, _ = KDTree(truth.points).query(places)
    return 100.0 * float(np.median(distance)) / truth.extent


def completeness(path: Path, truth: Truth) -> float:
    """Percent of the true surface, as often as views see it, that has a place of the mesh within 1 % of the extent."""
    places = trimesh.sample.sample_surface(trimesh.load_mesh(path), 500_000, seed=0)[0]
    chosen = np.random.default_rng(0).choice(len(truth.points), min(100_000, len(truth.points)), replace=False)
    distance, _ = KDTree(places).query(truth.points[chosen])
    return 100.0 * float((distance <= 0.01 * truth.extent).mean())


@dataclass
class ResultsExport:
    """Export a run of a scene with exact depth, measure and write docs/results/export.json."""

    run_path: Path
    """Run folder or its config.yml."""
    out: Path = Path("outputs/results-export")
    """Folder of the exports."""
    rows: Path = Path("docs/results/export.json")
    """The rows."""

    def run(self) -> None:
        """Exports, measures and writes the rows."""
        Export(self.run_path, what=("points", "mesh"), out=self.out).run()
        config = load_config(find_run(self.run_path))
        assert isinstance(config, OVS3DTrainerConfig) and config.data is not None
        classes = config.pipeline.model.classes
        truth = read_truth(config.data, classes)
        command, mesh = "make results-export", self.out / "mesh.ply"
        miou, error = points_miou(self.out / "points.ply", truth, classes), mesh_error(mesh, truth)
        seeds = (config.machine.seed,)
        rows = [
            ResultRow("labels of exported points", miou, POINTS_MIOU, "mIoU", True, None, seeds, command),
            ResultRow("mesh to truth, median", error, MESH_ERROR, "% of extent", False, None, seeds, command),
            ResultRow("truth near the mesh", completeness(mesh, truth), None, "%", True, None, seeds, command),
        ]
        write_results(self.rows, rows)
        CONSOLE.print(results_table(rows, "exports"))


if __name__ == "__main__":
    tyro.cli(ResultsExport).run()
