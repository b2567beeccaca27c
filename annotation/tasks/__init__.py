"""The 22 tasks: a file for each level-2 group of the taxonomy."""
