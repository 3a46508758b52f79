"""The grader: judges a learner's code behind a wall and says what it found."""

__version__ = "0.1.0"
