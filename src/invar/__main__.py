"""`python -m invar`: the command."""

from invar.cli import main

if __name__ == "__main__":
    main()
