"""XLRS-Bench evaluation of any checkpoint: data, models, protocol, the run, scores and reports."""
