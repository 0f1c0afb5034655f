"""Where data come from and how they are kept: sources, recipes, prepared files."""
