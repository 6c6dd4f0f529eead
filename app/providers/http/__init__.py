"""Calls to providers: transport, retries, limits, circuit breaker and bounded decoding."""
