"""Preparing: from sources of images to prepared files, in one piece or in shards."""
