"""The fast path of RAFT, GMA and CRAFT: both directions at once, each frame encoded once."""
