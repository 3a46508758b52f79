"""Processes that die, and exceptions that are more than they seem."""

from attack import calls, loads

CRASHES = [
    calls("segmentation fault", "import ctypes; ctypes.string_at(0)", "crashed", says="SIGSEGV"),
    loads("segmentation fault when loaded", "import ctypes; ctypes.string_at(0)", "crashed", says="SIGSEGV"),
    calls("abort", "import os; os.abort()", "crashed", says="SIGABRT"),
    calls("kills itself", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "crashed", says="SIGKILL"),
    calls("an arithmetic fault", "import os, signal; os.kill(os.getpid(), signal.SIGFPE)", "crashed", says="SIGFPE"),
    calls("overwrites its own memory", """
        import ctypes
        for place in range(id(x), id(x) + 10**7, 4096):
            ctypes.memset(place, 255, 4096)
    """, "crashed", "failed", "timeout"),
    calls("recursion", "return double(x)", "failed", says="RecursionError"),
    calls("recursion without a limit", """
        import sys
        sys.setrecursionlimit(10**9)
        def down(n): return [down(n + 1)]
        return down(0)
    """, "crashed", "failed", "timeout"),
    calls("recursion in C", """
        deep = []
        for _ in range(10**6): deep = [deep]
        return repr(deep)
    """, "failed", "crashed", "timeout"),
    calls("gives a list nested a million deep", """
        deep = []
        for _ in range(10**6): deep = [deep]
        return deep
    """, "failed", "crashed", "timeout"),
    calls("gives a list that holds itself", "loop = []; loop.append(loop); return loop", "failed", "crashed"),
    calls("BaseException", "raise BaseException('out of here')", "failed", "crashed"),
    calls("KeyboardInterrupt", "raise KeyboardInterrupt", "failed", "crashed"),
    calls("GeneratorExit", "raise GeneratorExit", "failed", "crashed"),
    calls("an exception whose text raises", "raise Bad", "failed", before="""
        class Bad(Exception):
            def __str__(self): raise Bad
            __repr__ = __str__
    """),
    calls("an exception whose text never comes", "raise Bad", "timeout", before="""
        class Bad(Exception):
            def __str__(self):
                while True: pass
            __repr__ = __str__
    """),
    calls("an exception whose text is no text", "raise Bad", "failed", before="""
        class Bad(Exception):
            def __str__(self): return 5
    """),
    calls("an exception of 200 MB", "raise ValueError('x' * 200_000_000)", "failed", says="ValueError"),
    calls("an exception with a name of a million letters", "raise type('E' * 10**6, (Exception,), {})('x')", "failed"),
    calls("an exception with escapes for a name", "raise type('\\x1b[31m\\x07', (Exception,), {})('\\x1b]0;t\\x07')", "failed"),
    calls("an exception that causes itself", """
        first, second = ValueError('a'), ValueError('b')
        first.__cause__, second.__cause__ = second, first
        raise first
    """, "failed"),
    calls("an exception group a thousand deep", """
        error = ValueError('inside')
        for _ in range(1000): error = ExceptionGroup('deep', [error])
        raise error
    """, "failed"),
    calls("an exception with a lying class", "raise Liar", "failed", "crashed", before="""
        class Meta(type):
            def mro(cls): return type.mro(cls)
            @property
            def __name__(cls): raise SystemExit(0)
        class Liar(Exception, metaclass=Meta):
            @property
            def __class__(self): raise SystemExit(0)
    """),
    calls("a traceback of ten thousand frames", """
        import sys
        sys.setrecursionlimit(20_000)
        def down(n):
            if n == 0: raise ValueError('the end')
            down(n - 1)
        down(9_000)
    """, "failed", "crashed"),
    calls("dies while it is taken apart", "return Bad()", "failed", "crashed", before="""
        class Bad:
            def __del__(self):
                import os
                os.abort()
    """),
    calls("raises what the negative number should", "raise ValueError('always')", "failed", of="pick"),
    calls("a class that only looks like ValueError", "raise ValueError('x')", "failed", of="pick",
          before="class ValueError(Exception): pass"),
]  # fmt: skip
