"""Run the command `foxhooks` as `python -m service`, also where the project is not installed."""

from service.command import main

if __name__ == "__main__":
    main()
