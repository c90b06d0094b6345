"""How the teacher looks at a pair."""
