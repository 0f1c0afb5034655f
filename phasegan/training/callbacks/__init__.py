"""During training: logs, samples, validation."""
