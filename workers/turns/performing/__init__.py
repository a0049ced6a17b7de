"""Performing: the effects of a plan, each once, whatever became of the call. Pure."""
