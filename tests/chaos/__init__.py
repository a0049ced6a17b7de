"""Kill, freeze and cut off real processes at random, then compare HappyFox's tickets with its webhooks."""
