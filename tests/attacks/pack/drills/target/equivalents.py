from grader.authoring import equivalent


@equivalent(replaces="double")
def added(x):
    """A sum."""
    return x + x
