"""The signer: a separate program for a separate host and user, with no database and nothing else of the project."""
