"""Which motion may become a label."""
