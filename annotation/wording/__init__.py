"""The wording of questions, one TOML file per language."""
