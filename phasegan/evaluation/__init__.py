"""Scores of methods, runs and translations, and the records that hold them."""
