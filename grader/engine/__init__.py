"""The engine: server, judge, runner, wire and sandbox.

server   warm process; forks a judge for each request            (trusted)
judge    runs the hidden tests with pytest, decides the verdict   (trusted)
zygote   exec'd before any hidden test is read; forks the runners (trusted, knows no secret)
runner   runs the learner's code, locked down; only computes      (untrusted)
"""
