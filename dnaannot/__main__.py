"""`python -m dnaannot` is the command `dnaannot`."""

from dnaannot.cli import main

if __name__ == "__main__":
    main()
