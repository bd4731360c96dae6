"""How a PostgreSQL database came to its tables: one file a step, never changed once released."""
