"""Numbers and figures: metrics, reports and pictures of a segmentation against its labels."""
