"""The fast path of RAFT and GMA: both directions at once, each frame encoded once."""
