"""Procedural rooms full of named objects, described once and rendered by a ray caster or by Blender."""

from .cameras import Camera as Camera
from .cameras import cameras as cameras
from .description import SceneDescription as SceneDescription
from .raycast import Compiled as Compiled
from .raycast import RaycastView as RaycastView
from .raycast import compile_scene as compile_scene
from .raycast import raycast_view as raycast_view
from .sampling import sample_scene as sample_scene
from .vocabulary import ClassInfo as ClassInfo
from .vocabulary import Triple as Triple
from .vocabulary import is_held_out as is_held_out
