"""HappyFox's API: protocol, transport, client, directory."""
