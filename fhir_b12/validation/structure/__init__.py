"""The base rules of R4: elements, cardinality, JSON types, primitive values."""
