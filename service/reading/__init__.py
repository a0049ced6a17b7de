"""What the store knows, read for people: commands print it, the dashboard shows it, the API returns it."""
