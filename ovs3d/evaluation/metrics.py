"""Segmentation and image metrics. Labels and predictions are class indices; label -1 is ignored.

`ConfusionMatrix` is the project's own protocol, over all held-out pixels together. `PaperScore` is the protocol of
3D-OVS (arXiv 2305.14093), kept apart under its own names.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class ConfusionMatrix:
    """Counts of (label, prediction) over all labelled pixels of all updates.

    A pixel with label -1 is ignored. A pixel with prediction -1 (nothing predicted) is an error of its true class.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        classes = len(self.class_names)
        # Rows are labels, columns are predictions; the last column counts pixels without a prediction.
        self.counts = torch.zeros(classes, classes + 1, dtype=torch.int64)

    def update(self, predicted: Int[Tensor, "h w"], label: Int[Tensor, "h w"]) -> None:
        """Adds one view.

        Raises:
            ValueError: an index is below -1 or not below the number of classes.
        """
        classes = len(self.class_names)
        for name, indices in (("predicted", predicted), ("label", label)):
            _check_range(name, indices, classes)
        labelled = label >= 0
        rows = label[labelled].long().cpu()
        columns = predicted[labelled.to(predicted.device)].long().cpu()
        columns = torch.where(columns < 0, classes, columns)
        counts = torch.bincount(rows * (classes + 1) + columns, minlength=self.counts.numel())
        self.counts += counts.view_as(self.counts)

    def summary(self) -> dict:
        """The metrics in [0, 1] as Python floats; NaN where nothing was labelled.

        `iou` and `recall` are per class name; a class without a labelled pixel has NaN there, is left out of `miou` and
        `macc` and is listed under `absent`. Pixels predicted as an absent class are errors of their true class.
        `fwiou` is the IoU weighted by the class's share of labelled pixels.
        """
        counts = self.counts.double()
        hits, labelled = counts.diagonal(), counts.sum(dim=1)
        predicted = counts[:, :-1].sum(dim=0)
        total = labelled.sum()
        present = labelled > 0
        iou = torch.where(present, hits / (labelled + predicted - hits), torch.nan)
        recall = torch.where(present, hits / labelled, torch.nan)
        return {
            "miou": iou[present].mean().item(),
            "macc": recall[present].mean().item(),
            "fwiou": ((labelled * iou)[present].sum() / total).item(),
            "pixel_accuracy": (hits.sum() / total).item(),
            "iou": dict(zip(self.class_names, iou.tolist(), strict=True)),
            "recall": dict(zip(self.class_names, recall.tolist(), strict=True)),
            "absent": [name for name, there in zip(self.class_names, present.tolist(), strict=True) if not there],
            "labelled_pixels": int(total.item()),
        }


class PaperScore:
    """mIoU and accuracy as the authors of 3D-OVS (arXiv 2305.14093) compute them, for comparison with their tables.

    The IoU of every (view, class) is that of two masks over all pixels of the view, sklearn's `jaccard_score`: a class
    absent from a view's labels counts 0, whether it is predicted there or not (sklearn warns and gives 0 for two empty
    masks). Unlabelled pixels belong to no mask, so that predicting a class there is an error.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self._iou: list[list[float]] = []
        self._hits = 0
        self._pixels = 0

    def update(self, predicted: Int[Tensor, "h w"], label: Int[Tensor, "h w"]) -> None:
        """Adds one view, unless none of its pixels has a label.

        Raises:
            ValueError: an index is below -1 or not below the number of classes.
        """
        classes = len(self.class_names)
        for name, indices in (("predicted", predicted), ("label", label)):
            _check_range(name, indices, classes)
        if not (label >= 0).any():
            return
        self.update_masks(predicted, label.cpu() == torch.arange(classes)[:, None, None])

    def update_masks(self, predicted: Int[Tensor, "h w"], masks: Bool[Tensor, "classes h w"]) -> None:
        """Adds one view by the masks of its classes, which may overlap: a pixel under two of them is never a hit.

        Raises:
            ValueError: a prediction is below -1 or not below the number of classes.
        """
        _check_range("predicted", predicted, len(self.class_names))
        predicted, masks = predicted.cpu(), masks.cpu()
        single = masks.sum(dim=0) == 1
        row = []
        for index, mask in enumerate(masks):
            union = ((predicted == index) | mask).sum().item()
            both = ((predicted == index) & mask).sum().item()
            row.append(both / union if union > 0 else 0.0)
            self._hits += int(((predicted == index) & mask & single).sum().item())
        self._iou.append(row)
        self._pixels += predicted.numel()

    def summary(self) -> dict:
        """`miou_paper`: mean over all (view, class); `accuracy_paper`: hits over all pixels; NaN without a view."""
        values = [value for row in self._iou for value in row]
        return {
            "miou_paper": sum(values) / len(values) if len(values) > 0 else math.nan,
            "accuracy_paper": self._hits / self._pixels if self._pixels > 0 else math.nan,
        }


def _check_range(name: str, indices: Int[Tensor, "h w"], classes: int) -> None:
    if indices.numel() == 0:
        return
    lowest, highest = int(indices.min()), int(indices.max())
    if lowest < -1 or highest >= classes:
        raise ValueError(f"{name} must hold -1 or 0..{classes - 1}. Got: {lowest}..{highest}.")


def relative_depth_errors(rendered: Float[Tensor, "h w"], known: Float[Tensor, "h w"]) -> Float[Tensor, " pixels"]:
    """|d - d*| / d* of the pixels whose distance d* is known, that is greater than 0; their mean is AbsRel."""
    seen = known > 0.0
    return (rendered[seen] - known[seen]).abs() / known[seen]


def psnr(
    rendered: Float[Tensor, "h w 3"], photo: Float[Tensor, "h w 3"], mask: Bool[Tensor, "h w"] | None = None
) -> float:
    """Peak signal-to-noise ratio in dB of images in [0, 1], where `mask` is true; infinite for equal ones,
    NaN where no pixel is measured or one is not finite."""
    squares = (rendered.double() - photo.double()) ** 2
    error = (squares if mask is None else squares[mask]).mean().item()
    return math.inf if error == 0.0 else -10.0 * math.log10(error)


def ssim(
    rendered: Float[Tensor, "h w 3"], photo: Float[Tensor, "h w 3"], mask: Bool[Tensor, "h w"] | None = None
) -> float:
    """Structural similarity of images in [0, 1] (Gaussian window of 11 pixels, sigma 1.5, data range 1), at most 1.

    With a `mask` it is the mean over the windows whose middle is true there.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure

    first, second = (image.float().permute(2, 0, 1)[None] for image in (rendered, photo))
    value, places = structural_similarity_index_measure(first, second, data_range=1.0, return_full_image=True)
    return (value if mask is None else places[0].mean(dim=0)[mask].mean()).item()


def photo_scores(
    rendered: Float[Tensor, "h w 3"], photo: Float[Tensor, "h w 3"], mask: Bool[Tensor, "h w"] | None
) -> dict[str, float]:
    """How much a rendered view is like its photograph, where `mask` is true: `psnr` and `ssim`."""
    return {"psnr": psnr(rendered, photo, mask), "ssim": ssim(rendered, photo, mask)}


class PhotoScore:
    """Means of `photo_scores` over views; a view of which nothing is visible is left out."""

    def __init__(self) -> None:
        self._rows: list[dict[str, float]] = []

    def update(
        self, rendered: Float[Tensor, "h w 3"], photo: Float[Tensor, "h w 3"], mask: Bool[Tensor, "h w"] | None
    ) -> dict[str, float]:
        """Adds one view; returns its own scores."""
        scores = photo_scores(rendered, photo, mask)
        if mask is None or mask.any():
            self._rows.append(scores)
        return scores

    def summary(self) -> dict[str, float]:
        """`psnr` and `ssim`; NaN without a view."""
        return {name: fmean(row[name] for row in self._rows) if self._rows else math.nan for name in ("psnr", "ssim")}


def visible(item: Mapping[str, Any]) -> Bool[Tensor, "h w"] | None:
    """The mask of a view as the host hands it over, `mask` [h, w, 1]; None where it has none."""
    return item["mask"][..., 0] > 0 if "mask" in item else None
