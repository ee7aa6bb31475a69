"""How good colours are, as the field measures it."""
