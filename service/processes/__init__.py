"""The processes: their entry points, the supervisor of `up` and `demo`, and the simulator's server."""
