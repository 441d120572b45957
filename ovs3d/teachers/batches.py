"""Batches of the semantic stage: rows of the sample table, and what the teachers say about their rays."""

from typing import Any

import torch

from ovs3d.field.samples import KeptSamples, SampleTable
from ovs3d.teachers.bank import TeacherBank


def semantic_batch(
    table: SampleTable, bank: TeacherBank, random_rays: int, patches: int, patch_side: int
) -> tuple[KeptSamples, dict[str, Any]]:
    """Random rows first, then with a patch encoder whole patches of at most `patch_side` tokens along a side.

    Returns:
        The rays' samples, and the targets: those of `TeacherBank.targets`,
        `random_rays`, and `patch_tokens`, the number of rays of each patch.
    """
    rows = torch.randint(len(table), (random_rays,))
    patch_tokens = 0
    if bank.patch_store is not None and patches > 0:
        patch_rows = table.patch_rows(patches, patch_side)
        patch_tokens = patch_rows.shape[1]
        rows = torch.cat([rows, patch_rows.reshape(-1)])
    batch = bank.targets(table.views[rows], table.uv[rows])
    batch |= {"patch_tokens": patch_tokens, "random_rays": random_rays}
    return table.samples[rows].to(torch.float32), batch
