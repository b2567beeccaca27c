"""Records, shards and image tables: the only room that knows parquet."""
