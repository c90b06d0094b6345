"""A few lines over the rest, in MMLab's manner."""
