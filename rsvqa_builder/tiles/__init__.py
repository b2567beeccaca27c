"""One unit of work, a tile: its facts, the work, the journal, executors, splits, duplicates, assembly."""
