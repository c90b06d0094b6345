"""How well features find places of one frame again in others, without ground truth."""
