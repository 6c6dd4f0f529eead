"""HTTP calls to the providers, with retries, limits and a circuit breaker. `client` is the entry."""
