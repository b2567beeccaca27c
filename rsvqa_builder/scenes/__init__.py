"""Scenes: found and opened, placed on the map, rendered to 8 bits, joined, paired, cut into windows."""
