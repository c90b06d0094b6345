"""Flow labels: passes of the teacher, filters and weights."""
