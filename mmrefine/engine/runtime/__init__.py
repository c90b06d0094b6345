"""The process and the machine under it: memory, progress, signals, other processes."""
