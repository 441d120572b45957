"""Reads the LLFF poses (`poses_bounds.npy`) of 3D-OVS scenes."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from ovs3d.data.images import image_size, list_images
from ovs3d.data.transforms import views_from_meta
from ovs3d.data.views import PosedViews
from ovs3d.errors import UserError

POSES_FILE = "poses_bounds.npy"
ASPECT_TOLERANCE = 0.01


def read_llff(folder: Path) -> PosedViews:
    """Reads row i of `poses_bounds.npy` as the i-th photograph of `images/`, sorted by name.

    Photographs may have another size than the file says, as the LLFF scenes' smaller copies do; the focal length is
    scaled to theirs. Near and far bounds are not used: the scene is contracted, not clipped.

    Raises:
        UserError: for a file of another shape, another number of images, or images of another shape.
    """
    path = folder / POSES_FILE
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"{path} cannot be read as an array ({error}); write it again with LLFF's imgs2poses."
        ) from error
    if rows.ndim != 2 or rows.shape[1] != 17 or not np.issubdtype(rows.dtype, np.floating):
        raise UserError(f"{path} has the shape {list(rows.shape)}, not [views, 17]; write it again with imgs2poses.")
    images = find_images(folder)
    if len(images) != len(rows):
        raise UserError(
            f"{path} has poses of {len(rows)} images but {images[0].parent} holds {len(images)}; "
            "remove the photographs without a pose or write the poses again."
        )
    table = rows[:, :15].reshape(-1, 3, 5).astype(np.float64)
    frames = []
    for image, pose, hwf in zip(images, opengl_poses(table[..., :4]), table[..., 4].tolist(), strict=True):
        height, width, focal = hwf
        found = image_size(image)
        if not _same_shape(found, (width, height)):
            raise UserError(
                f"{image} has {found[0]}x{found[1]} pixels but {path} is for {width:.0f}x{height:.0f}; "
                "put images of the same shape there or write the poses again."
            )
        frames.append(
            {
                "file_path": str(image),
                "transform_matrix": pose.tolist(),
                "fl_x": focal * found[0] / width,
                "fl_y": focal * found[1] / height,
            }
        )
    return views_from_meta({"frames": frames}, folder, path)


def find_images(folder: Path) -> list[Path]:
    """The photographs of `images/`, or of the largest of `images_2`, `images_4`, ... if it is absent.

    Raises:
        UserError: if there are none.
    """
    smaller = [path for path in folder.glob("images_*") if path.name.removeprefix("images_").isdigit()]
    smaller.sort(key=lambda path: int(path.name.removeprefix("images_")))
    for candidate in (folder / "images", *smaller):
        if images := list_images(candidate):
            return images
    raise UserError(f"{folder} holds no images; put the photographs into {folder / 'images'}.")


def opengl_poses(llff: Float64[np.ndarray, "views 3 4"]) -> Float64[np.ndarray, "views 3 4"]:
    """Turns camera-to-world columns down, right, backwards, position into right, up, backwards, position."""
    return np.concatenate([llff[..., 1:2], -llff[..., 0:1], llff[..., 2:4]], axis=-1)


def _same_shape(found: tuple[int, int], said: tuple[float, float]) -> bool:
    """Whether two (width, height) have one aspect ratio, up to the rounding of either to whole pixels."""
    if min(said) <= 0.0:
        return False
    ratio = (found[0] * said[1]) / (found[1] * said[0])
    return abs(ratio - 1.0) <= ASPECT_TOLERANCE + 1.0 / min(found)
