"""Images of any origin: decoded, converted, resized."""
