"""Annotations of published data sets: masks, joints, points."""
