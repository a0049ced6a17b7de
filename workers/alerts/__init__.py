"""Tell people of troubles: what counts as one, who is told, and when it is over."""
