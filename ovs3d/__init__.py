"""Open-vocabulary 3D segmentation from posed photographs and a few words, as a nerfstudio method.

Conventions: `weights` are volume-rendering weights along a ray, they sum to at most 1; `latent` is what the semantic
field stores; `selection` is a softmax over scales; `relevancy` is a cosine similarity of a feature and a text;
`log_probs` are always log-space. Axis names are rays, samples, scales, classes, views and dim.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ovs3d.query.result import QueryResult
    from ovs3d.scene import Scene
    from ovs3d.views import Segmentation

__version__ = "0.1.0"
__all__ = ["QueryResult", "Scene", "Segmentation", "__version__"]
MODULES = {"QueryResult": "ovs3d.query.result", "Scene": "ovs3d.scene", "Segmentation": "ovs3d.views"}


def __getattr__(name: str) -> Any:
    """Imports what is heavy when it is first used."""
    if name not in MODULES:
        raise AttributeError(f"module 'ovs3d' has no attribute '{name}'")
    return getattr(import_module(MODULES[name]), name)
