"""Real processes killed, frozen and cut off at random; what HappyFox shows afterwards is held against what it told."""
