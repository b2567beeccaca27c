"""Scenes become tiles and shards: files, GDAL, georeference, the run."""
