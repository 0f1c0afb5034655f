"""Options of every command: type, range, default, help, presets and aliases, declared once."""
