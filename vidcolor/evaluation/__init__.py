"""How good colors are, as the field measures it."""
