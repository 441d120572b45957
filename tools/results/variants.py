"""What is trained for the main results: the full configuration, its ablations, and runs on oracle features."""

from dataclasses import dataclass

WEIGHTS = "--pipeline.model.loss-weights"
ENCODERS = ("--encoder", "tiny-clip", "--dino", "tiny-dino")
FULL = "full"
NO_FDA = (f"{WEIGHTS}.fda-positive", "0", f"{WEIGHTS}.fda-negative", "0")
CROPS = ("--teachers", "clip-crops", "dino")
AUTHORS = (
    *CROPS, "--pipeline.datamanager.feature-views", "0.5",
    "--pipeline.model.normalisation", "view", "--pipeline.model.latent-resolutions", "64", "128",
    "--pipeline.model.rendered-temperature", "1",
    "--pipeline.model.selected-temperature", "1", "--pipeline.model.selection-sharpness", "1",
    "--pipeline.model.rda-normalise", "False", "--pipeline.model.fda-temperature", "0.2", f"{WEIGHTS}.rda", "1",
    f"{WEIGHTS}.patch-feature", "0", f"{WEIGHTS}.selection", "0",
)  # fmt: skip
"""What `ovs3d-paper` chooses but its weights of FDA, for two cores: windows of whole photographs, random pairs of FDA,
and no latent planes of 256 cells."""
ABLATIONS: dict[str, tuple[str, ...]] = {
    "no preference of finer levels": (f"{WEIGHTS}.selection", "0"),
    "uniform mean of levels": ("--pipeline.model.selection", "False"),
    "level 1/5 alone": ("--pipeline.datamanager.levels", "0"),
    "level 1/7 alone": ("--pipeline.datamanager.levels", "1"),
    "level 1/10 alone": ("--pipeline.datamanager.levels", "2"),
    "without RDA": (f"{WEIGHTS}.rda", "0"),
    "without FDA": NO_FDA,
    "without DINO head": (f"{WEIGHTS}.patch-feature", "0"),
    "relevancy normalised per view": ("--pipeline.model.normalisation", "view"),
    "relevancy normalised over the scene": ("--pipeline.model.normalisation", "scene"),
    "finer latents": ("--pipeline.model.latent-resolutions", "64", "128"),
    "half of the CLIP views": ("--pipeline.datamanager.feature-views", "0.5"),
    "a tenth of the CLIP views": ("--pipeline.datamanager.feature-views", "0.1"),
    "clip-crops": CROPS,
    "clip-crops without FDA": (*CROPS, *NO_FDA),
    "clip-crops, no preference of finer levels": (*CROPS, f"{WEIGHTS}.selection", "0"),
    "authors' constants": (*AUTHORS, f"{WEIGHTS}.fda-positive", "200", f"{WEIGHTS}.fda-negative", "0.2"),
    "authors' constants without FDA": (*AUTHORS, *NO_FDA),
}
"""Flags of every ablation, on top of `ovs3d-tiny`."""
ORACLE_TOKENS, ORACLE_WINDOWS = "oracle-tokens", "oracle-windows"


@dataclass(frozen=True)
class Job:
    """One semantic run: a variant of the configuration on a scene's geometry."""

    scene: str
    seed: int
    variant: str = FULL

    @property
    def folder(self) -> str:
        """Name of the run's folder and of its log."""
        return f"{self.scene}-{self.variant}".replace(" ", "-").replace("/", "_")
