"""What plug-ins are made of, and how they are loaded. Pure."""
