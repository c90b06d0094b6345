"""The label-free comparison of two networks that the guard decides by."""
