"""How well masks that were carried along a video match the annotated ones."""
