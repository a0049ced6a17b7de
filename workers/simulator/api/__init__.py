"""The endpoints of HappyFox's API: what each accepts, refuses and answers. `table` says which is which."""
