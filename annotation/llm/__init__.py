"""Drafting and verifying with any OpenAI-compatible model; the client is the benchmark's too."""
