"""Filter thresholds that keep a promise, found on known warps of the frames themselves."""
