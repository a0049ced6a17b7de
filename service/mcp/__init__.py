"""The gateway for language models: the Model Context Protocol."""
