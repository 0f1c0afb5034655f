"""The preset `physics`: the exact transform as one generator, statistics of domain B, the step."""
