"""What can be typed behind `foxhooks`, subject by subject; the work is imported where it starts, so that help is quick.

A new command is a function in the module of its subject; a new subject is a module and a line in service/command.py.
"""
