"""Results to streams: one module a format."""
