"""The report of a bench as one HTML file: what it says, and how it looks."""
