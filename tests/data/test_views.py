"""Intrinsics of resampled images."""

from ovs3d.data.views import Intrinsics


def test_resizing_keeps_rays_of_the_same_place() -> None:
    camera = Intrinsics(100, 60, 80.0, 90.0, 51.0, 29.0)
    half = camera.resized(50, 20)
    for u, v in ((0.0, 0.0), (0.3, 0.9), (1.0, 1.0)):
        assert (u * 100 - camera.cx) / camera.fx == (u * 50 - half.cx) / half.fx
        assert abs((v * 60 - camera.cy) / camera.fy - (v * 20 - half.cy) / half.fy) < 1e-12
    assert half.resized(100, 60) == camera
