"""Videos come back as they were written, and a failure leaves no file and no damage."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from jaxtyping import UInt8

from ovs3d.errors import UserError
from ovs3d.export.video import VideoWriter, read_frames, side_by_side


def frames(count: int, height: int, width: int) -> UInt8[np.ndarray, "views h w 3"]:
    """Grey ramps, one step brighter from frame to frame: smooth, so that the codec loses almost nothing."""
    ramp = np.linspace(40, 160, width)[None, None, :, None] + 20 * np.arange(count)[:, None, None, None]
    return np.broadcast_to(ramp, (count, height, width, 3)).astype(np.uint8)


def write(path: Path, images: UInt8[np.ndarray, "views h w 3"], fps: int | float = 10) -> None:
    with VideoWriter(path, fps) as video:
        for image in images:
            video.add(image)


def test_frames_come_back_in_order(tmp_path: Path) -> None:
    images = frames(4, 48, 64)
    write(tmp_path / "new" / "video.mp4", images)
    read = read_frames(tmp_path / "new" / "video.mp4")
    assert read.shape == images.shape
    assert np.abs(read.astype(int) - images).max() <= 4


def test_channels_are_rgb(tmp_path: Path) -> None:
    red = np.zeros((1, 32, 32, 3), np.uint8)
    red[..., 0] = 200
    write(tmp_path / "video.mp4", red)
    assert np.abs(read_frames(tmp_path / "video.mp4")[0, 16, 16].astype(int) - (200, 0, 0)).max() <= 6


def test_odd_size_is_padded_not_scaled(tmp_path: Path) -> None:
    images = frames(2, 47, 63)
    write(tmp_path / "video.mp4", images)
    read = read_frames(tmp_path / "video.mp4").astype(int)
    assert read.shape == (2, 48, 64, 3)
    assert np.abs(read[:, :47, :63] - images).max() <= 4
    assert np.abs(read[:, 47, :63] - images[:, 46]).max() <= 4


def test_format_is_the_one_every_player_knows(tmp_path: Path) -> None:
    write(tmp_path / "video.mp4", frames(6, 32, 32), fps=12)
    meta = next(imageio_ffmpeg.read_frames(tmp_path / "video.mp4"))
    assert meta["codec"] == "h264"
    assert meta["pix_fmt"].startswith("yuv420p")
    assert meta["fps"] == 12


def test_failure_keeps_the_earlier_file_and_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"earlier")
    with pytest.raises(KeyError), VideoWriter(path, 10) as video:
        video.add(frames(1, 32, 32)[0])
        raise KeyError
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_failure_of_ffmpeg_is_named_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    # ffmpeg cannot replace a folder by its output.
    (tmp_path / ".video.partial.mp4").symlink_to(tmp_path / "missing" / "video.mp4")
    with pytest.raises(UserError, match=r"video\.mp4 cannot be written"):
        write(path, frames(3, 32, 32))
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file cannot be made"):
        write(tmp_path / "file" / "video.mp4", frames(1, 32, 32))


def test_final_name_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with VideoWriter(path, 10) as video:
        video.add(frames(1, 32, 32)[0])
        assert not path.exists()
    assert path.exists()


def test_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"32, 34"), VideoWriter(tmp_path / "video.mp4", 10) as video:
        video.add(frames(1, 32, 32)[0])
        video.add(frames(1, 32, 34)[0])


def test_no_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No frame"), VideoWriter(tmp_path / "video.mp4", 10):
        pass


def test_other_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"video\.avi"):
        VideoWriter(tmp_path / "video.avi", 10)


def test_panels_keep_their_pixels_below_the_titles() -> None:
    left, right = frames(1, 64, 80)[0], 255 - frames(1, 64, 50)[0]
    joined = side_by_side([left, right], ["photograph", "segmentation"])
    assert joined.shape == (16 + 64, 130, 3)
    assert np.array_equal(joined[16:, :80], left)
    assert np.array_equal(joined[16:, 80:], right)


def test_each_title_is_drawn_inside_its_own_bar() -> None:
    panel = np.zeros((64, 60, 3), np.uint8)
    joined = side_by_side([panel, panel], ["a title far too long for a panel as narrow as this", ""])
    assert joined[:16, :60].max() > 100
    assert joined[:16, [0, 59]].max() == 0
    assert joined[:, 60:].max() == 0


def test_panel_without_title_is_refused() -> None:
    panel = np.zeros((64, 60, 3), np.uint8)
    with pytest.raises(ValueError):
        side_by_side([panel, panel], ["one"])
