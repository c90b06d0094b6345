"""Configs: read, overridden, filled in and checked, before anything heavy is built."""
