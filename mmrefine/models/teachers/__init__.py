"""Frozen networks that make labels."""
