"""The policy file: from YAML with positions, through a typed model, to a compiled matcher."""
