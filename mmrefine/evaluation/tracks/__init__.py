"""How well points that were tracked through a video match the true ones: TAP-Vid's scores, and errors in px."""
