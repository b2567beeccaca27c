"""What is on a tile becomes questions and answers: the domain, free of GeoTIFF, parquet and torch."""
