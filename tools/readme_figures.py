"""Makes README's picture and animation from what `make demo` left in outputs/demo."""

from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from ovs3d.export.video import read_frames


def main(demo: Path = Path("outputs/demo"), out: Path = Path("docs/figures"), width: int = 720) -> None:
    """Writes OUT/demo.gif and OUT/evaluation.png.

    Args:
        demo: folder of the demo's results.
        out: folder of the figures.
        width: of the animation, in pixels.
    """
    out.mkdir(parents=True, exist_ok=True)
    frames = [Image.fromarray(np.asarray(frame)) for frame in read_frames(demo / "segmentation.mp4")[::2]]
    height = round(width * frames[0].height / frames[0].width)
    small = [frame.resize((width, height), Image.Resampling.LANCZOS).quantize(96) for frame in frames]
    small[0].save(out / "demo.gif", save_all=True, append_images=small[1:], duration=160, loop=0, optimize=True)
    figure = sorted((demo / "figures").glob("*.png"))[0]
    Image.open(figure).convert("RGB").quantize(128).save(out / "evaluation.png", optimize=True)


if __name__ == "__main__":
    tyro.cli(main)
