"""One colour per class, the same in every picture, video and point cloud, and the legend that names them."""

import functools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Integer, UInt8
from PIL import Image, ImageDraw, ImageFont

# Pixels without a class. No class colour is this dark or this colourless.
IGNORE_COLOUR = (0, 0, 0)
FONT_SIZE = 16
ROW_HEIGHT = 26
SWATCH = 16
GAP = 8
LUMINANCE = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in a grey (ITU-R BT.601)."""
LEGEND_WIDTH = 1280
"""Widest legend in pixels for which the four sizes above hold; they grow with wider ones."""


@functools.lru_cache(maxsize=8)
def _greedy_colours(n: int) -> UInt8[np.ndarray, "n 3"]:
    from skimage.color import deltaE_ciede2000, rgb2lab

    steps = np.arange(0, 256, 15)
    rgb = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = rgb2lab(rgb / 255.0)
    # Very dark, very bright and grey candidates are kept for ignored pixels, paper and photographs.
    vivid = (lab[:, 0] > 30) & (lab[:, 0] < 93) & (np.hypot(lab[:, 1], lab[:, 2]) > 18)
    rgb, lab = rgb[vivid], lab[vivid]
    if n > len(rgb):
        raise ValueError(f"at most {len(rgb)} class colours exist. Got: {n}.")
    # Each colour is the candidate that differs most from all earlier ones, black and white; the first is a red.
    chosen = [int(np.argmin(np.abs(rgb - np.array([230, 45, 45])).sum(axis=1)))]
    black_and_white = np.array([[[0.0, 0.0, 0.0]], [[100.0, 0.0, 0.0]]])
    nearest = deltaE_ciede2000(lab[None], black_and_white).min(axis=0)
    while len(chosen) < n:
        nearest = np.minimum(nearest, deltaE_ciede2000(lab, lab[None, chosen[-1]]))
        chosen.append(int(np.argmax(nearest)))
    colours = rgb[chosen[:n]].astype(np.uint8)
    colours.setflags(write=False)
    return colours


def class_colours(n: int) -> UInt8[np.ndarray, "classes 3"]:
    """`n` distinct sRGB colours, always the same; the first k of them do not depend on n.

    Raises:
        ValueError: more colours than candidates (thousands) are asked for.
    """
    return _greedy_colours(n).copy()


def colourise(
    labels: Integer[np.ndarray, "h w"], colours: UInt8[np.ndarray, "classes 3"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Paints a label map; -1 becomes `IGNORE_COLOUR`.

    Raises:
        ValueError: a label is below -1 or has no colour.
    """
    if labels.size > 0 and (labels.min() < -1 or labels.max() >= len(colours)):
        raise ValueError(f"labels must be -1..{len(colours) - 1}. Got: {labels.min()}..{labels.max()}.")
    # Index -1 picks the last row.
    table = np.concatenate([colours, np.array([IGNORE_COLOUR], dtype=np.uint8)])
    return table[labels]


def overlay(
    rgb: UInt8[np.ndarray, "h w 3"],
    labels: Integer[np.ndarray, "h w"],
    colours: UInt8[np.ndarray, "classes 3"],
    alpha: float,
) -> UInt8[np.ndarray, "h w 3"]:
    """Blends class colours with opacity `alpha` in [0, 1] over the greys of a photograph; its own colours would mix in.

    Pixels with label -1 stay as they are.
    """
    grey = rgb @ LUMINANCE
    blended = (1.0 - alpha) * grey[..., None] + alpha * colourise(labels, colours)
    return np.where((labels >= 0)[..., None], np.rint(blended), rgb).astype(np.uint8)


def load_font(size: int, text: str = "") -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, which is ASCII alone, or matplotlib's DejaVu Sans for others (no Chinese or Japanese)."""
    return _read_font(size, text.isascii())


@functools.lru_cache(maxsize=8)
def _read_font(size: int, is_ascii: bool) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if is_ascii:
        return ImageFont.load_default(size=size)
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size=size)


def shorten(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """The name, or as much of it as fits `room` pixels and three dots."""
    name = " ".join(name.split())
    if font.getlength(name) <= room:
        return name
    end = len(name)
    while end > 1 and font.getlength(name[:end].rstrip() + "...") > room:
        end -= 1
    return name[:end].rstrip() + "..."


def draw_legend(
    names: Sequence[str], colours: UInt8[np.ndarray, "classes 3"], width: int
) -> UInt8[np.ndarray, "h width 3"]:
    """A white strip of swatches with names, in as many equal columns as fit `width` pixels, filled row by row.

    Names longer than a quarter of the strip and than 240 pixels end in "...". No names give a strip of height zero.
    Letters are `FONT_SIZE` pixels high, and larger in strips wider than `LEGEND_WIDTH`, which are shown smaller.

    Raises:
        ValueError: there are not as many colours as names.
    """
    if len(names) != len(colours):
        raise ValueError(f"names and colours must be equally many. Got: {len(names)} and {len(colours)}.")
    scale = max(1.0, width / LEGEND_WIDTH)
    font_size, row_height, swatch, gap = (round(scale * size) for size in (FONT_SIZE, ROW_HEIGHT, SWATCH, GAP))
    fonts = [load_font(font_size, name) for name in names]
    before_text = swatch + 2 * gap
    # One long name must not cost all others their columns.
    room = min(max(240, width // 4), width - before_text - gap)
    texts = [shorten(name, font, room) for name, font in zip(names, fonts, strict=True)]
    widest = max((font.getlength(text) for font, text in zip(fonts, texts, strict=True)), default=0)
    column_width = before_text + math.ceil(widest) + gap
    columns = max(1, width // column_width)
    rows = math.ceil(len(names) / columns)
    picture = Image.new("RGB", (width, rows * row_height), "white")
    draw = ImageDraw.Draw(picture)
    for index, (text, font) in enumerate(zip(texts, fonts, strict=True)):
        left, middle = (index % columns) * column_width, index // columns * row_height + row_height // 2
        box = (left + gap, middle - swatch // 2, left + gap + swatch, middle + swatch // 2)
        draw.rectangle(box, fill=tuple(int(channel) for channel in colours[index]))
        draw.text((left + before_text, middle), text, fill="black", font=font, anchor="lm")
    return np.asarray(picture)


def srgb_to_linear(value: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Light in [0, 1] of colours of pictures in [0, 1] (IEC 61966-2-1)."""
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
