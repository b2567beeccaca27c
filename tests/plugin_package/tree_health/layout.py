"""How the published trees lie: `plots/PLOT_rgb.tif`, and `crowns/crowns-of-PLOT.trees` beside that folder."""

TREES = ((r"plots/(\w+)_rgb", r"crowns/crowns-of-(\w+)"),)
"""Pairs of regular expressions: the end of a scene's path and of a label file's, without suffix, in lower case."""
