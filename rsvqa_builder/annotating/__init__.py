"""A data set goes to language models and comes back as a data set."""
