"""Pictures of one evaluated view: photograph, label, prediction and error side by side, and relevancy maps."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from PIL import Image, ImageDraw

from ovs3d.palette import colourise, draw_legend, load_font, shorten

TITLE_HEIGHT = 30
MARGIN = 8
RIGHT, WRONG, IGNORED = (225, 225, 225), (214, 39, 40), (0, 0, 0)


def evaluation_figure(
    photo: UInt8[np.ndarray, "h w 3"],
    label: Integer[np.ndarray, "h w"],
    prediction: Integer[np.ndarray, "h w"],
    error: Bool[np.ndarray, "h w"],
    names: Sequence[str],
    colours: UInt8[np.ndarray, "classes 3"],
    panel_width: int = 400,
) -> UInt8[np.ndarray, "figure_h figure_w 3"]:
    """Four titled panels in a row over a legend.

    Args:
        photo: the photograph.
        label: class indices; -1 is not labelled and is drawn black, in the error panel too.
        prediction: class indices; -1 is no prediction.
        error: true where the prediction is wrong; counted in the title over labelled pixels.
        names: class names, in the order of the indices.
        colours: one per name, `palette.class_colours`.
        panel_width: in pixels; each panel is scaled to it.
    """
    labelled = label >= 0
    mistakes = np.where(error[..., None], WRONG, RIGHT)
    mistakes = np.where(labelled[..., None], mistakes, IGNORED).astype(np.uint8)
    share = f" ({100.0 * error[labelled].mean():.1f} %)" if labelled.any() else ""
    panels = [
        ("photograph", photo),
        ("label", colourise(label, colours)),
        ("prediction", colourise(prediction, colours)),
        (f"error{share}", mistakes),
    ]
    row = titled_panels(panels, panel_width, font_size=17)
    legend = draw_legend(names, colours, row.shape[1] - 2 * MARGIN)
    white = ((0, MARGIN), (MARGIN, MARGIN), (0, 0))
    return np.concatenate([row, np.pad(legend, white, constant_values=255)])


def titled_panels(
    panels: Sequence[tuple[str, UInt8[np.ndarray, "_ _ 3"]]], panel_width: int, font_size: int
) -> UInt8[np.ndarray, "row_h row_w 3"]:
    """Panels of one shape in a row, each below its title, the photograph first; titles too long for a panel are cut.

    Blended class colours would name classes that are not there: only the photograph is interpolated.
    """
    _, photo = panels[0]
    height = max(1, round(panel_width * photo.shape[0] / photo.shape[1]))
    row = Image.new("RGB", (len(panels) * (panel_width + MARGIN) + MARGIN, TITLE_HEIGHT + height + MARGIN), "white")
    draw = ImageDraw.Draw(row)
    for index, (title, panel) in enumerate(panels):
        left = MARGIN + index * (panel_width + MARGIN)
        method = Image.Resampling.LANCZOS if index == 0 else Image.Resampling.NEAREST
        row.paste(Image.fromarray(panel).resize((panel_width, height), method), (left, TITLE_HEIGHT))
        font = load_font(font_size, title)
        draw.text((left, TITLE_HEIGHT // 2), shorten(title, font, panel_width), fill="black", font=font, anchor="lm")
    return np.asarray(row)


def relevancy_to_rgb(
    relevancy: Float[np.ndarray, "h w"], low: float = 0.0, high: float = 1.0
) -> UInt8[np.ndarray, "h w 3"]:
    """Paints a map with the turbo colours: blue at `low` and below, red at `high` and above, black where not finite.

    Raises:
        ValueError: `high` is not above `low`.
    """
    if not high > low:
        raise ValueError(f"high must be above low. Got: {low} and {high}.")
    from matplotlib import colormaps

    finite = np.isfinite(relevancy)
    scaled = np.clip((np.where(finite, relevancy, low) - low) / (high - low), 0.0, 1.0)
    painted = colormaps["turbo"](scaled, bytes=True)[..., :3]
    return np.where(finite[..., None], painted, 0).astype(np.uint8)
