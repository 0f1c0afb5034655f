"""Networks: generators, discriminators, their weights on disk."""
