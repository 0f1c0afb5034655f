"""Loss functions, one a line of the objective."""
