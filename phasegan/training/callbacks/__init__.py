"""Records, sample pictures and validation as training goes."""
