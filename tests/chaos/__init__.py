"""Real processes killed, frozen and cut off at random; then HappyFox's tickets are compared with its webhooks."""
