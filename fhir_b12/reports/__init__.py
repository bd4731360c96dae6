"""What a validation found, for people and for machines."""
