"""Commands that are killed, or run out of room: what they are, and what must be left of them."""
