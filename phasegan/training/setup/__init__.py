"""From options to a configuration, a run folder and an estimate of the time it takes."""
