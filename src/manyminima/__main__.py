"""`python -m manyminima` is the command line."""

from manyminima.cli import main

if __name__ == "__main__":
    main()
