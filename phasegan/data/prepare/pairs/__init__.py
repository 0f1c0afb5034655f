"""Preparing two domains of images as one file."""
