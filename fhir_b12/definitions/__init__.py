"""Distilled R4 definitions."""
