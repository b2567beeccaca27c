"""A slim GeoLLaVA-8K (to come)."""
