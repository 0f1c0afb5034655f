"""Files: written atomically, locked, read with limits; arrays and append-only logs."""
