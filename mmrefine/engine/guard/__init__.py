"""What the guard compares: held-out pairs and the candidates between teacher and student."""
