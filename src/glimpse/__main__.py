"""`python -m glimpse` is the command line."""

from glimpse.cli import main

if __name__ == "__main__":
    main()
