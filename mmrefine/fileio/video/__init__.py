"""Frames from video files and folders, and video files written."""
