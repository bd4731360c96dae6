"""The declarative tables; see README.md here."""
