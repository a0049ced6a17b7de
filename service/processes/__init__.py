"""Real processes: the parts as children of one tree, the embedded store, the simulated HappyFox."""
