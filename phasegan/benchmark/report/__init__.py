"""What a benchmark leaves behind: tables, figures, and a report as one HTML file."""
