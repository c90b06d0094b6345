"""A network judged on pairs, clips and test sets, and the pictures of it."""
