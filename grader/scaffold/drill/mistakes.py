"""Wrong answers that people really give. Each stands in for one name of the solution.

They serve twice: `grader validate` proves that the hidden tests reject them, and a learner whose answer does the same
is told so. `tells` is said to the learner; `question` is the id of the question that explains it.
"""

from grader.authoring import mistake


@mistake(replaces="my_drill", tells="The mean is taken over all of x. Each row has its own.", question="why-centre")
def mean_of_everything(x):
    if x.dim() == 0:
        raise ValueError
    return x - x.mean()


@mistake(replaces="my_drill", tells="x is added to its mean instead of being freed of it.", question="why-centre")
def adds_the_mean(x):
    if x.dim() == 0:
        raise ValueError
    return x + x.mean(-1, keepdim=True)


@mistake(
    replaces="my_drill", tells="x itself is changed. A function leaves its inputs as they are.", question="why-centre"
)
def in_place(x):
    if x.dim() == 0:
        raise ValueError
    return x.sub_(x.mean(-1, keepdim=True))
