"""One module for each way to send: see `benchmarks.turn` for what it must have."""
