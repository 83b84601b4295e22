"""The contract with engines and extensions: the hooks that they implement, and the metrics that judge speech."""
