"""The version: a module of its own so that packaging and the command line read it without the engine."""

__version__ = "0.2.0"
