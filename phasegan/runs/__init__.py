"""What a run folder is, and how it is read safely."""
