"""XLRS-Bench evaluation of any checkpoint (to come)."""
