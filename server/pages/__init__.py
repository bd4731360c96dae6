"""What a browser is shown; nothing in it comes from the network."""
