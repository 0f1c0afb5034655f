"""Films: read, translated, written, and kept steady."""
