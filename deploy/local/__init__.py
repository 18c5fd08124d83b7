"""The local stack: real PostgreSQL, Redis and bitcoind beside the web process and the workers."""
