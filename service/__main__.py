"""`python -m service` is the command `foxhooks`, also where the project itself is not installed."""

from service.cli import main

if __name__ == "__main__":
    main()
