"""Readers of label files, one file a family of formats."""
