"""A client of the registry's HTTP API: tokens, and the session that uses them."""
