"""In front of another server. Whole suites run again here, with fixtures of this folder."""
