"""Numbers that others have published, with what they were measured under; they are quoted, never measured here."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Published:
    """One column of a table: mIoU in percent, of every scene that is known and as the mean that its source prints."""

    name: str
    mean: float
    source: str
    protocol: str
    scenes: Mapping[str, float] = field(default_factory=dict)


OVS_MEAN = ("bed", "bench", "room", "sofa", "lawn")
"""The scenes of 3D-OVS's dataset, of ten, over which everybody takes the mean."""
LERF_MEAN = ("figurines", "ramen", "teatime", "waldo_kitchen")
"""The scenes of LERF-OVS."""


def _five(*percents: float) -> dict[str, float]:
    return dict(zip(OVS_MEAN, percents, strict=True))


PUBLISHED_3D_OVS = (
    Published(
        "3D-OVS", 86.8, "as printed in LangSplat, Table 5",
        "best class of the full list, 1/8 size, mean over (view, class); the labelled views are trained on",
        _five(89.5, 89.3, 92.8, 74.0, 88.2),
    ),
    Published(
        "LERF", 54.8, "as printed in LangSplat, Table 5", "not stated there",
        _five(73.5, 53.2, 46.6, 27.0, 73.7),
    ),
    Published(
        "LangSplat", 93.4, "LangSplat, Table 5",
        "one mask per query, without the list of the other classes; the code of this evaluation was not released",
        _five(92.5, 94.2, 94.1, 90.0, 96.1),
    ),
    Published(
        "3D VL-GS", 97.1, "3D VL-GS (ICLR 2025), the highest mean found; its number for room was not found",
        "not known, no code was found",
        {"bed": 96.8, "bench": 97.3, "sofa": 95.5, "lawn": 97.9},
    ),
)  # fmt: skip

PUBLISHED_LERF_OVS = (
    Published(
        "LangSplat", 51.4, "as printed in LangSplatV2, Table 2",
        "one mask per query, cut at 0.4; the queries are not known in training; the annotated views are trained on",
    ),
    Published("LangSplatV2", 59.9, "LangSplatV2, Table 2", "not checked"),
    Published("CCL-LGS", 65.6, "the highest mean found (ICCV 2025)", "not checked"),
)  # fmt: skip
