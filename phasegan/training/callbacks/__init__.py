"""During training: logs, sample images, validation, advice on stopping."""
