"""The search: propose, pass the cost gate, train, record."""
