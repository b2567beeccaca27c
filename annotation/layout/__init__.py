"""How things lie on a tile: its nine parts, rows and borders, and the graph of its roads; knows facts alone."""
