"""The doors: everything a person or HappyFox touches."""
