"""Queries whose right answer is known, and how well a scene answers them."""
