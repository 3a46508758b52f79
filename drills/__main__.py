"""`python -m drills` is the `drills` command."""

from drills.cli import main

if __name__ == "__main__":
    main(prog_name="drills")
