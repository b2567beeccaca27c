"""From files of labels to the labels of each scene: whose they are, one reader per family, places, all together."""
