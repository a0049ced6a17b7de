"""The governor: permits, the account's gate and its forecast."""
