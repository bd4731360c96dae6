"""Typed SQL: expressions with bound values, and the tables of the stores."""
