"""Sources files of published data sets, as package data."""
