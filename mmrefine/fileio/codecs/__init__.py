"""Labels as bytes, and back."""
