"""The rules the validator knows, one TOML file a stage."""
