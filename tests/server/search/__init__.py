"""Search: what is indexed, what is asked, what is found."""
