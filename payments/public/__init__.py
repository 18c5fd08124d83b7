"""The page for everybody: no account, nothing about a person, and nothing that needs a script to be read."""
