"""`foxhooks doctor`: checks everything that can be checked before the first delivery; each finding has its cure."""
