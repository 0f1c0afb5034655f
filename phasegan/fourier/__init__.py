"""The mathematics: FFT convention, phase, its encodings, magnitude statistics."""
