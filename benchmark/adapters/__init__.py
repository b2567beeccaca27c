"""Models behind one interface: transformers, endpoints, baselines."""
