"""A data set goes to people and comes back as a data set."""
