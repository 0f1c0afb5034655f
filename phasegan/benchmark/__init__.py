"""Benchmarks: cases, plans, rows measured and kept, tables, the report."""
