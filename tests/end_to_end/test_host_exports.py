"""`ns-export` on a run of ours, where the libraries of the system that Open3D needs are there."""

from pathlib import Path

import numpy as np
import pytest

from ovs3d.scene import Scene

open3d = pytest.importorskip("open3d", reason="ns-export needs open3d", exc_type=ImportError)


@pytest.mark.parametrize("output", ["rgb", "segmentation"])
def test_point_cloud(output: str, run: Path, scene: Scene, tmp_path: Path) -> None:
    from nerfstudio.scripts.exporter import ExportPointCloud

    ExportPointCloud(
        load_config=run / "config.yml", output_dir=tmp_path, num_points=2000, num_rays_per_batch=1024,
        normal_method="open3d", reorient_normals=False, remove_outliers=False, rgb_output_name=output,
    ).main()  # fmt: skip
    cloud = open3d.io.read_point_cloud(tmp_path / "point_cloud.ply")
    colours = np.asarray(cloud.colors)
    assert len(colours) >= 2000
    if output == "segmentation":
        distance = np.abs(colours[:, None] - scene.model.colours.numpy()[None]).max(axis=-1).min(axis=1)
        assert distance.max() < 2.0 / 255.0, "every point has the colour of a class"


def test_mesh(run: Path, tmp_path: Path) -> None:
    from nerfstudio.scripts.exporter import ExportTSDFMesh

    ExportTSDFMesh(
        load_config=run / "config.yml", output_dir=tmp_path, downscale_factor=1, resolution=32, batch_size=2,
        target_num_faces=500, num_pixels_per_side=64, px_per_uv_triangle=2, unwrap_method="custom",
    ).main()  # fmt: skip
    mesh = open3d.io.read_triangle_mesh(str(tmp_path / "mesh.obj"))
    assert len(mesh.triangles) > 0 and (tmp_path / "material_0.png").exists()
