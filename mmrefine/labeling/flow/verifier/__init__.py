"""A small network that weighs passes, and knows how wrong what comes of them is."""
