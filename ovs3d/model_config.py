"""Sizes, stages and loss weights of the model: everything that `--pipeline.model` offers."""

from dataclasses import dataclass, field

from nerfstudio.models.base_model import ModelConfig

from ovs3d.field.backbones import Backbone
from ovs3d.relevancy import Normalisation


def model_class() -> type:
    """The class that the configuration builds, imported late because it imports the configuration."""
    from ovs3d.model import OVS3DModel

    return OVS3DModel


@dataclass
class LossWeights:
    """Factors of the losses; 0 leaves one out."""

    interlevel: float = 0.1
    """Proposal against field."""
    distortion: float = 1e-3
    """Compactness of the weights along a ray."""
    distance: float = 0.02
    """Distances that a plane sweep found, at the first step; fades out over `distance_part`."""
    feature: float = 1.0
    """Rendered feature against the selected teacher feature."""
    patch_feature: float = 0.2
    """Rendered patch feature (DINO head) against the patch encoder's."""
    rda: float = 1.0
    """Relevancy-distribution alignment."""
    selection: float = 0.05
    """Preference of finer scales, which see small things, from the first step on (the authors: none, 0)."""
    fda_positive: float = 0.1
    """Feature-distribution alignment, pairs that DINO finds alike (the authors: 200)."""
    fda_negative: float = 0.1
    """Feature-distribution alignment, pairs that DINO finds different (the authors: 0.18 to 0.35)."""


@dataclass
class OVS3DModelConfig(ModelConfig):
    """Sizes, stages and losses of the model."""

    _target: type = field(default_factory=model_class)
    enable_collider: bool = False
    eval_num_rays_per_chunk: int = 8192
    classes: tuple[str, ...] = ()
    """Names of the classes; set by the top-level --classes."""
    scales: int = 3
    """Levels of the text teacher; set from the teacher."""
    feature_dim: int = 512
    """Size of the texts' embedding space; set from the encoder."""
    patch_dim: int = 384
    """Size of the patch encoder's space, 0 without one; set from the teachers."""
    geometry_steps: int = 10_000
    """Steps of the geometry stage; set by the top-level --geometry-steps."""
    near: float = 0.05
    """Least distance of samples from the camera, in scene units (the cameras span about 2)."""
    far: float = 100.0
    """Greatest distance of samples."""
    backbone: Backbone = "planes"
    """Storage of density and colour: plain PyTorch, or tiny-cuda-nn, which needs CUDA and its package."""
    proposal_resolution: int = 128
    """Cells along a side of the dense proposal grid."""
    proposal_samples: int = 64
    """Samples per ray of the proposal grid."""
    field_samples: int = 24
    """Samples per ray of the radiance field."""
    coloured_samples: int = 12
    """Heaviest samples per ray that are given a colour."""
    distance_part: float = 0.4
    """Part of the geometry stage over which the distances of the plane sweep matter less and less."""
    plane_resolutions: tuple[int, ...] = (32, 64, 256)
    """Cells along a side of the planes that density and colour share."""
    plane_channels: int = 16
    """Channels per plane and resolution of the radiance field."""
    texture_resolutions: tuple[int, ...] = (256, 512, 1024, 2048)
    """Cells along a side of the hash grid that colour alone sees."""
    texture_log2_size: int = 20
    """Binary logarithm of the hash grid's entries per resolution."""
    hidden_dim: int = 64
    """Width of the radiance networks."""
    latent_resolutions: tuple[int, ...] = (16,)
    """Cells along a side of the latent planes; what is finer follows the colour."""
    latent_channels: int = 16
    """Channels per plane and resolution of the latent."""
    head_dim: int = 128
    """Width of the decoders."""
    kept_samples: int = 8
    """Heaviest samples per ray that the semantic stage sees."""
    normalisation: Normalisation = "balanced"
    """Of the teacher's relevancy: over each view (the authors), over the scene, or there with classes balanced."""
    selection: bool = True
    """Learn the selection volume; without it every scale counts the same."""
    selection_sharpness: float = 8.0
    """Factor of the composited selection before its softmax; 1 is the authors'."""
    rendered_temperature: float = 0.1
    """Of the rendered distribution in RDA."""
    selected_temperature: float = 0.05
    """Of the teacher's distribution in RDA."""
    rda_normalise: bool = True
    """Compare unit features with the texts in RDA; the authors leave them un-normalised."""
    fda_temperature: float = 0.1
    """Of the rendered distribution in FDA (the authors: 0.2)."""
    fda_shift: float = 0.7
    """DINO cosine above which two rays should agree."""
    fda_pairs: int | None = 4096
    """Random pairs per patch of FDA; None takes all of them, as the authors do."""
    loss_weights: LossWeights = field(default_factory=LossWeights)
