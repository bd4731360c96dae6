"""The schema, from every released one forward."""
