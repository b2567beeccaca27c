"""Data sets opened in Python: their questions one by one, and how they show themselves in a notebook."""
