"""How the teacher is asked about a pair."""
