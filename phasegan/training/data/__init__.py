"""Batches: phases and images, augmented, prefetched, in parts."""
