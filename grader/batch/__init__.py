"""Grading a class: many people's answers to many drills, none of which is trusted."""
