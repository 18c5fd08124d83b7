"""All writes, one module a noun, verbs inside; each call is one database transaction."""
