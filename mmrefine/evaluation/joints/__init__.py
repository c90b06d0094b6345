"""How well points that were carried along a video match the annotated ones."""
