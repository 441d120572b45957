"""Public benchmarks: trained scene by scene, measured as their papers measure, shown beside the published numbers."""
