"""Frozen networks and stored motion that labels are made of, and where a round gets them from."""
