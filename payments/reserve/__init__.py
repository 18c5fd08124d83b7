"""What institutions of the public sector hold of bitcoin, and the look at all of it at one block."""
