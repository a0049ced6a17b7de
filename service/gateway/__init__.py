"""The gateway: HappyFox's own paths for other programs."""
