"""Results of a benchmark: tables, figures, and a report as one HTML file."""
