"""`ovs3d extract DATA`: the teachers' features of a scene."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ovs3d.cli.command import Command, Report, chosen_device


@dataclass
class Extract(Command):
    """Compute features before training, for example: ovs3d extract data/room --encoder tiny-clip --dino tiny-dino."""

    data: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Scene folder."""
    encoder: str = "ViT-B-16:laion2b_s34b_b88k"
    """Image-text encoder: MODEL:PRETRAINED, MODEL:/path/to/checkpoint, hf-hub:ORG/NAME, or tiny-clip."""
    dino: str = "vit_small_patch8_224_dino"
    """Patch encoder: a timm DINO ViT, NAME:/path/to/checkpoint, or tiny-dino."""
    teachers: tuple[str, ...] = ("clip-dense", "dino")
    """Any of clip-crops, clip-dense, dino."""
    cache: Path | None = None
    """Where to keep the features; by default OVS3D_CACHE or ~/.cache/ovs3d."""
    device: str | None = None
    """cpu or cuda; by default cuda where there is one."""

    def run(self) -> Report:
        """Extracts what the cache lacks of the training views."""
        from nerfstudio.utils.rich_utils import CONSOLE

        from ovs3d.data.dataparser import OVS3DDataParserConfig
        from ovs3d.data.validation import training_images
        from ovs3d.teachers.base import build_teacher
        from ovs3d.teachers.cache import default_cache_root, extract_features

        images = training_images(OVS3DDataParserConfig(data=self.data))
        extracted = {}
        root, device = self.cache or default_cache_root(), chosen_device(self.device)
        for name in self.teachers:
            teacher = build_teacher(name, self.encoder, self.dino, device)
            store = extract_features(teacher, images, root, progress=True)
            extracted[name] = {"views": len(store), "bytes_per_view": store.view(0).nbytes}
            CONSOLE.print(f"{name}: {len(store)} views, {store.view(0).nbytes / 1e6:.2f} MB each")
        return Report({"teachers": extracted, "cache": root})
