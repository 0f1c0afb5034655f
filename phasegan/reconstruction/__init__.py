"""Methods that say which image has a given phase spectrum."""
