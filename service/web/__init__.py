"""The web process: receive signed webhooks and store them durably."""
