"""What tools/benchmark.py measures, one file per group of rows."""
