"""Questions and their answers: pure functions from what a store holds to frozen results."""
