"""Audits of data sets of any maker."""
