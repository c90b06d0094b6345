"""Configs: read, override, fill in and check, before anything heavy is built."""
