"""The process and its machine: memory, progress, signals, other processes."""
