"""Class tables for well-known label sets, one TOML file each."""
