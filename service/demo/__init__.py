"""`foxhooks demo`: everything at work with a simulated HappyFox, in a temporary folder."""
