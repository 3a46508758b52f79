from grader.authoring import mistake


@mistake(replaces="double", tells="The argument comes back as it is.", question="why-target")
def does_nothing(x):
    return x
