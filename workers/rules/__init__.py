"""Rules: conditions, shared by the shipped handlers and the rules file; templates, actions and the file itself."""
