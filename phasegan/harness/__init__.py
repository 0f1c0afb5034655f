"""The bench harness: scoring, cases, rows, tables, the report."""
