"""Teachers: frozen 2D models that supervise the field, and the cache of their features."""

from ovs3d.teachers.base import FeatureMeta as FeatureMeta
from ovs3d.teachers.base import Teacher as Teacher
from ovs3d.teachers.base import build_teacher as build_teacher
from ovs3d.teachers.cache import FeatureStore as FeatureStore
from ovs3d.teachers.cache import default_cache_root as default_cache_root
from ovs3d.teachers.cache import extract_features as extract_features
from ovs3d.teachers.files import open_features as open_features
from ovs3d.teachers.files import open_vocabulary as open_vocabulary
