"""What a person asks at the terminal: looking, trying, mending."""
