"""Preparation of files from sources of images, in one piece or in shards."""
