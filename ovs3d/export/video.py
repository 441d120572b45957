"""Videos that every player shows: H.264, yuv420p, even sizes, and never a half-written file under the final name."""

from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType

import imageio_ffmpeg
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from ovs3d.errors import UserError
from ovs3d.files import make_folder

# imageio-ffmpeg's scale of 1 to 10; 6 is libx264's constant rate factor 20, at which the edges of label colours hold.
_QUALITY = 6
_SMALLEST_LETTERS = 9.0  # Pixels.


class VideoWriter:
    """Writes RGB frames of one size to an .mp4 file.

    The file appears when the `with` block ends without an exception; until then, and after an exception, an earlier
    file of that name stays as it was.

        with VideoWriter(Path("segmentation.mp4"), fps=24) as video:
            video.add(frame)

    Raises:
        UserError: `path` does not end in .mp4, or cannot be written.
    """

    def __init__(self, path: Path, fps: int | float) -> None:
        if path.suffix.lower() != ".mp4":
            raise UserError(f"{path} is no name for a video; let it end in .mp4.")
        self.path = path
        self.fps = fps
        # ffmpeg chooses the container by the suffix, so the draft keeps it.
        self._draft = path.with_name(f".{path.stem}.partial{path.suffix}")
        self._shape: tuple[int, ...] | None = None
        self._encoder: Generator[None, np.ndarray | None, None] | None = None

    def __enter__(self) -> "VideoWriter":
        make_folder(self.path.parent)
        return self

    def add(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Appends one RGB frame; an odd height or width gains a row or column that repeats the last one."""
        if self._shape is None:
            self._shape = frame.shape
            self._encoder = self._start(*frame.shape[:2])
        if frame.shape != self._shape:
            raise ValueError(f"All frames need the shape of the first, {self._shape}. Got: {frame.shape}.")
        assert self._encoder is not None
        height, width = frame.shape[:2]
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        try:
            self._encoder.send(np.ascontiguousarray(even))
        except OSError as error:  # ffmpeg has ended; what it said is many lines.
            raise self._unwritable() from error

    def _start(self, height: int, width: int) -> Generator[None, np.ndarray | None, None]:
        encoder = imageio_ffmpeg.write_frames(
            self._draft,
            (width + width % 2, height + height % 2),
            fps=self.fps,  # pyright: ignore[reportArgumentType] - read from the default, 16; a float is documented.
            codec="libx264",
            pix_fmt_out="yuv420p",
            quality=_QUALITY,
            macro_block_size=2,
            ffmpeg_log_level="error",
            # The index at the front lets a browser play the file while it loads.
            output_params=["-movflags", "+faststart"],
        )
        encoder.send(None)
        return encoder

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._encoder is not None:
                self._encoder.close()
            if kind is None:
                self._finish()
        finally:
            self._draft.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._encoder is None:
            raise ValueError(f"No frame was added to {self.path}.")
        # ffmpeg's exit status is not passed on; the index, written last, is what a failed run lacks.
        if not _is_complete(self._draft):
            raise self._unwritable()
        try:
            self._draft.replace(self.path)
        except OSError as error:
            raise self._unwritable() from error

    def _unwritable(self) -> UserError:
        return UserError(f"The video {self.path} cannot be written; free space on its disk, or write it elsewhere.")


def _is_complete(path: Path) -> bool:
    if not path.is_file() or path.stat().st_size == 0:
        return False
    try:
        imageio_ffmpeg.count_frames_and_secs(path)
    except RuntimeError:
        return False
    return True


def read_frames(path: Path) -> UInt8[np.ndarray, "views h w 3"]:
    """Returns all frames of a video as RGB."""
    reader = imageio_ffmpeg.read_frames(path)
    width, height = next(reader)["size"]
    return np.stack([np.frombuffer(data, np.uint8).reshape(height, width, 3) for data in reader])


def side_by_side(
    panels: Sequence[UInt8[np.ndarray, "h _ 3"]], titles: Sequence[str]
) -> UInt8[np.ndarray, "titled_h total_w 3"]:
    """Joins panels of one height from left to right, each below a bar with its title.

    The bar is a sixteenth of the height, but at least 16 pixels. A title too long for its panel is set smaller, down to
    the smallest readable size, and then cut.
    """
    bar = max(16, panels[0].shape[0] // 16)
    columns = [
        np.concatenate([_title(title, panel.shape[1], bar), panel]) for panel, title in zip(panels, titles, strict=True)
    ]
    return np.concatenate(columns, axis=1)


def _title(text: str, width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    room = 0.94 * width
    size = 0.7 * height
    length = draw.textlength(text, font=ImageFont.load_default(size))
    font = ImageFont.load_default(max(_SMALLEST_LETTERS, size * min(1.0, room / max(length, 1.0))))
    # Letters are not exactly proportional to their nominal size, so the length is looked at again.
    shown = text
    while draw.textlength(shown, font=font) > room:
        text = text[:-1]
        shown = f"{text.rstrip()}…" if len(text) > 0 else ""
    draw.text((width / 2, height / 2), shown, fill="white", font=font, anchor="mm")
    return np.asarray(image)
