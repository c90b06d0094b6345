"""Stage 1 over a whole data set: share out, skip what is there, label, write, finish."""
