"""The wording of questions, one TOML file a language."""
