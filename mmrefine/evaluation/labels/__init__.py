"""How good labels are: their statistics, and a verdict on each scene."""
