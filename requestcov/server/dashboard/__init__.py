"""The dashboard: what the desk half answers, as pages that follow the store as it grows."""
