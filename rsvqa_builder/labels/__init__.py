"""What labels mean: class tables, cleaning, the same thing in two files, completeness."""
