"""Which views are trained on and which are held out for evaluation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from ovs3d.data.views import PosedViews
from ovs3d.errors import UserError

Protocol = Literal["held-out", "paper"]
HOLD_OUT_EVERY = 8


def split_views(
    posed: PosedViews, masked: Sequence[bool], protocol: Protocol, named: Sequence[str] = ()
) -> tuple[list[int], list[int]]:
    """Indices of the training views and of the held-out views, each in file order.

    Held out are the views that are named, else those that the pose file lists, else those with 3D-OVS masks, else every
    8th. The protocol "paper" holds out the same views but trains on all, as the authors of 3D-OVS do, for comparison
    with their numbers alone.

    Args:
        posed: the scene.
        masked: for each view, whether it has 3D-OVS masks.
        protocol: "held-out" or "paper".
        named: file names of photographs, with or without their suffix.

    Raises:
        UserError: if a view is listed in both splits, none has a name, or a split has no view.
    """
    if named:
        posed = _hold_out(posed, named)
    images = [view.image for view in posed.views]
    everything = range(len(images))
    if posed.held_out is not None:
        held_out = [i for i in everything if images[i] in posed.held_out]
    elif posed.train is not None:
        held_out = [i for i in everything if images[i] not in posed.train]
    elif any(masked):
        held_out = [i for i in everything if masked[i]]
    else:
        held_out = list(everything[::HOLD_OUT_EVERY])
    if not held_out:
        raise UserError(
            f"{posed.source} holds out no view to evaluate on; name some in test_filenames, or remove its lists, then "
            f"every {HOLD_OUT_EVERY}th is held out."
        )
    if protocol == "paper":
        return list(everything), held_out
    out = set(held_out)
    train = [i for i in everything if i not in out]
    if posed.train is not None:
        both = [images[i] for i in held_out if images[i] in posed.train]
        if both:
            raise UserError(f"{posed.source} lists {both[0]} for training and as held out; remove it from one list.")
        train = [i for i in train if images[i] in posed.train]
    if not train:
        raise UserError(f"{posed.source} leaves none of {len(images)} views to train on; hold out fewer of them.")
    return train, held_out


def _hold_out(posed: PosedViews, named: Sequence[str]) -> PosedViews:
    """The scene with the named photographs as its held-out ones and no list of training ones."""
    images = [view.image for view in posed.views]
    unknown = sorted(set(named) - {name for image in images for name in (image.name, image.stem)})
    if unknown:
        raise UserError(f"{posed.source} has no photograph '{unknown[0]}' to hold out; correct the name.")
    held_out = frozenset(image for image in images if image.name in named or image.stem in named)
    return replace(posed, train=None, held_out=held_out)


def spread_evenly(count: int, total: int) -> list[int]:
    """About `count` of `total` indices, at least one, in rising order; of several, the first and the last are two."""
    count = max(1, count)
    return sorted({round(i * (total - 1) / max(count - 1, 1)) for i in range(count)})
