"""Results for a terminal: one module a question."""
