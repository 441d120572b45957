"""Open-vocabulary 3D segmentation from posed photographs and a few words, as a nerfstudio method.

Conventions: `weights` are volume-rendering weights along a ray, they sum to at most 1; `latent` is what the semantic
field stores; `selection` is a softmax over scales; `relevancy` is a cosine similarity of a feature and a text;
`log_probs` are always log-space. Axis names are rays, samples, scales, classes, views and dim.
"""

__version__ = "0.1.0"
