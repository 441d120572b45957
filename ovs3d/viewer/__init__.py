"""Asking a scene in nerfstudio's viewer: a panel, and the outputs that it paints."""
