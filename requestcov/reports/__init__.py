"""Results to streams: a module, or a folder of one module a question, a format."""
