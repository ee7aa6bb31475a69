"""`python -m vidcolor` is the `vidcolor` command."""

from vidcolor.cli import main

if __name__ == "__main__":
    main()
