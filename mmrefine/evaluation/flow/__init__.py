"""Errors of flow: against ground truth, by part of the frame, and without ground truth."""
