"""From options, and facts of the data, to the complete configuration of a training."""
