"""The learner's own notes: read safely, cut into questions, placed beside the drills that they belong to."""
