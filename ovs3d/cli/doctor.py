"""`ovs3d doctor`: what works on this machine."""

import os
import sys
from dataclasses import asdict, dataclass

from ovs3d.cli.command import Command, Report


@dataclass
class Doctor(Command):
    """Tell in ten lines what works here and how to mend the rest, for example: ovs3d doctor --encoder tiny-clip."""

    encoder: str = "ViT-B-16:laion2b_s34b_b88k"
    """Image-text encoder that you want to use, as of ns-train --encoder."""
    dino: str = "vit_small_patch8_224_dino"
    """Patch encoder that you want to use, as of ns-train --dino."""

    def run(self) -> Report:
        """Prints what was found; 1 if something that the demo needs is missing."""
        os.environ["HF_HUB_OFFLINE"] = "1"  # Read when the hub's package is imported: nothing is downloaded.
        from ovs3d.doctor import examine

        findings = list(examine(self.encoder, self.dino))
        width = max(len(each.name) for each in findings)
        for each in findings:
            mend = f": {each.mend}" if each.mend else ""
            sys.stdout.write(f"{'ok' if each.works else 'no':3}{each.name:<{width}}  {each.found}{mend}\n")
        ready = all(each.works for each in findings if each.needed)
        return Report({"findings": [asdict(each) for each in findings], "ready": ready}, status=int(not ready))
