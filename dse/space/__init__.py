"""The YAML grammar: a block template with open values."""
