"""How verified labels grow and how their weights are balanced."""
