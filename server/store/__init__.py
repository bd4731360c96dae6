"""Where resources are kept, digit for digit."""
