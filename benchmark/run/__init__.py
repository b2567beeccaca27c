"""The run: order, loading, reuse, resume, ranks."""
