"""All teachers of a run together: what they say about rays of the training views."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ovs3d.data.photo_masks import PhotoMasks
from ovs3d.data.splits import spread_evenly
from ovs3d.errors import UserError
from ovs3d.field.samples import lattice_rays
from ovs3d.relevancy import Normalisation, RelevancyRange, balanced_range, relevancy
from ovs3d.teachers.base import FeatureMeta, build_teacher
from ovs3d.teachers.cache import default_cache_root, extract_features
from ovs3d.teachers.files import open_features
from ovs3d.teachers.store import FeatureStore

PATCH_TEACHERS = ("dino",)
"""Teachers without a text space: they supervise FDA and a head of their own."""
BALANCED_CELLS = 200_000
"""Cells of all views together, at most, that the balanced range is found from."""


@runtime_checkable
class TeacherSettings(Protocol):
    """What `open_teachers` reads; the data manager's configuration has it."""

    encoder: str
    patch_encoder: str
    teachers: tuple[str, ...]
    features: Path | None
    feature_cache: Path | None
    feature_views: float
    crops_scale_down: int
    levels: tuple[int, ...]


@dataclass(frozen=True)
class TeacherBank:
    """Opened features of the training views."""

    text_store: FeatureStore
    """Features that words can be compared with, one level per scale."""
    patch_store: FeatureStore | None
    """DINO-like features, or None."""
    used_views: tuple[int, ...]
    """Views whose text features supervise; all others count as without features."""
    used_levels: tuple[int, ...]
    """Scales that supervise; all others count as without features."""
    masks: PhotoMasks | None = None
    """Of the views, where the data has them: what is masked counts as without features."""

    @property
    def lattice(self) -> tuple[int, int]:
        """(rows, columns) of the patch encoder's grid, the first view's; (0, 0) without one."""
        if self.patch_store is None:
            return 0, 0
        _, rows, columns, _ = self.patch_store.view(0).shape
        return rows, columns

    def targets(self, views: Int[Tensor, " rays"], uv: Float[Tensor, "rays 2"]) -> dict:
        """Teacher features of rays: `features`, `features_valid`, and with a patch encoder `patch_features`."""
        features, valid = self.text_store.lookup(views, uv)
        valid = valid & torch.isin(views, torch.tensor(self.used_views))[:, None]
        valid = valid & torch.isin(torch.arange(valid.shape[1]), torch.tensor(self.used_levels))
        batch = {"views": views, "features": features, "features_valid": valid}
        if self.patch_store is not None:
            patch_features, patch_valid = self.patch_store.lookup(views, uv)
            batch["patch_features"], batch["patch_valid"] = patch_features[:, 0], patch_valid[:, 0]
        if self.masks is not None:
            visible = self.masks.visible(views, uv)
            batch["features_valid"] = valid & visible[:, None]
            if self.patch_store is not None:
                batch["patch_valid"] = batch["patch_valid"] & visible
        return batch

    def cells(self, view: int) -> tuple[Float[Tensor, "cells scales dim"], Bool[Tensor, "cells scales"]]:
        """All text features of one view and which of them count."""
        features, valid = self.text_store.cells(view)
        if self.masks is not None:
            _, rows, columns, _ = self.text_store.view(view).shape
            _, uv = lattice_rays(1, rows, columns)
            valid = valid & self.masks.visible(torch.full((len(uv),), view), uv)[:, None]
        return features, valid

    def relevancy_range(
        self, text: Float[Tensor, "classes dim"], normalisation: Normalisation
    ) -> Float[Tensor, "2 views scales classes"]:
        """What becomes 0 and 1 in normalised relevancy, of every class at every scale.

        Args:
            text: unit embeddings of the classes.
            normalisation: `view`: the least and the greatest relevancy in each view, the authors' way; `scene`: in all
                used views together, repeated for each view; `balanced`: `relevancy.balanced_range` of them.
        """
        scales, classes = len(self.text_store.meta.levels), len(text)
        whole, some, levels = RelevancyRange(scales, classes), [], list(self.used_levels)
        share, generator = max(1, BALANCED_CELLS // len(self.used_views)), torch.Generator().manual_seed(0)
        ranges = torch.zeros(2, len(self.text_store), scales, classes)
        for view in self.used_views:
            cells, valid = self.cells(view)
            cosines = relevancy(cells, text)
            own = RelevancyRange(scales, classes)
            for each in (whole, own):
                each.update(cosines, valid)
            ranges[0, view], ranges[1, view] = own.low, own.high
            if normalisation == "balanced":
                complete = cosines[:, levels][valid[:, levels].all(dim=-1)]
                some.append(complete[torch.randperm(len(complete), generator=generator)[:share]])
        if normalisation != "view":
            ranges[0], ranges[1] = whole.low, whole.high
        if normalisation == "balanced":
            low, high = balanced_range(torch.cat(some), whole.low[levels], whole.high[levels])
            ranges[0][:, levels], ranges[1][:, levels] = low, high
        return ranges


def open_teachers(settings: TeacherSettings, images: Sequence[Path], device: torch.device | str) -> TeacherBank:
    """Opens the features of all teachers of a run, extracting those that the cache lacks."""
    check_teachers(settings.teachers, settings.features)
    text_stores, patch_store = [], None
    for name in settings.teachers:
        if name == "files":
            assert settings.features is not None, "check_teachers has seen them"
            text_stores.append(open_features(settings.features, images))
            continue
        options = {"scale_down": settings.crops_scale_down} if name == "clip-crops" else {}
        teacher = build_teacher(name, settings.encoder, settings.patch_encoder, device, **options)
        store = extract_features(teacher, images, settings.feature_cache or default_cache_root(), progress=True)
        if name in PATCH_TEACHERS:
            patch_store = store
        else:
            text_stores.append(store)
    used = tuple(spread_evenly(round(settings.feature_views * len(images)), len(images)))
    levels = settings.levels or tuple(range(len(text_stores[0].meta.levels)))
    return TeacherBank(text_stores[0], patch_store, used, levels)


def check_teachers(names: Sequence[str], features: Path | None) -> None:
    """Refuses teachers of which words can be compared with none or with several, and `files` without a folder."""
    texts = [name for name in names if name not in PATCH_TEACHERS]
    if len(texts) != 1:
        raise UserError(
            f"--teachers {' '.join(names)} names {len(texts)} teachers that words can be compared "
            "with; name exactly one of clip-dense, clip-crops, files, and optionally dino."
        )
    if "files" in names and features is None:
        raise UserError("The teacher 'files' needs --features FOLDER.")


def check_levels(asked: Sequence[int], meta: FeatureMeta) -> None:
    """Refuses levels that the image-text teacher does not have."""
    unknown = [level for level in asked if not 0 <= level < len(meta.levels)]
    if unknown:
        listed = ", ".join(f"{index} ({name})" for index, name in enumerate(meta.levels))
        raise UserError(f"--pipeline.datamanager.levels {unknown[0]} is no level of {meta.teacher}: choose {listed}.")
