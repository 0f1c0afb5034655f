"""What `bench_training.py` is made of: the common recipe, the modes, the gauges, the report."""
