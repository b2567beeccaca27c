"""Records, shards, image tables and exports: the only room that knows parquet."""
