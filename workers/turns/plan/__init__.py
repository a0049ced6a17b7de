"""The plan: what the handlers want, folded into effects that can be stored, read again and told. Pure."""
