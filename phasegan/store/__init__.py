"""Where data comes from and how it is kept: sources, recipes, prepared files."""
