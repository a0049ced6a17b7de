"""The web process: from a signed delivery to an event that is stored durably."""
