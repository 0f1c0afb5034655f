"""Sources of images, recipes, and prepared files."""
