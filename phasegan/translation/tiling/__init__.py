"""Generators over images of any size in bounded memory, exactly."""
