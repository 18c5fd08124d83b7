"""The demo: its people, and the run that pays them."""
