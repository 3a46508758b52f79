"""Code that does not come back."""

from attack import calls, loads

HANGS = [
    calls("loops", "while True: pass", "timeout"),
    loads("loops when loaded", "while True: pass", "timeout"),
    calls("sleeps", "import time; time.sleep(10_000)", "timeout"),
    calls("catches everything", """
        while True:
            try:
                while True: pass
            except BaseException: pass
    """, "timeout"),
    calls("ignores every signal", """
        import signal
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
    """, "timeout"),
    calls("blocks every signal", """
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True: pass
    """, "timeout"),
    calls("a pattern that never ends, with the interpreter locked", """
        import re
        re.match(r'(a+)+$', 'a' * 50 + 'b')
    """, "timeout"),
    calls("sums without end in C", "import itertools; return sum(itertools.count())", "timeout"),
    calls("a power that takes years", "return 9 ** 9 ** 9", "timeout", "crashed", "failed"),
    calls("stops itself", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP); return x", "timeout"),
    calls("waits for a lock that it holds", """
        import threading
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()
    """, "timeout"),
    calls("waits for a thread that waits for it", """
        import threading
        here = threading.current_thread()
        thread = threading.Thread(target=here.join)
        thread.start()
        thread.join()
    """, "timeout", "failed"),
    calls("asks at the terminal", "return x * float(input('factor? '))", "failed", says="EOF"),
    calls("reads what never comes", "import os; return os.read(os.pipe()[0], 1)", "timeout"),
    calls("an event loop without events", """
        import asyncio
        asyncio.run(asyncio.Event().wait())
    """, "timeout"),
    calls("a result that never says what it is", "return Slow()", "timeout", "failed", before="""
        class Slow:
            def __getattribute__(self, name):
                while True: pass
            __iter__ = __len__ = __bool__ = __getattribute__
    """),
    loads("a module that never says what it has", """
        def __getattr__(name):
            while True: pass
        def __dir__():
            while True: pass
    """),
    calls("a backward pass without end", "return Slow.apply(x)", "timeout", before="""
        class Slow(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x): return 2 * x
            @staticmethod
            def backward(ctx, g):
                while True: pass
    """),
    calls("a tensor operation of hours", "return torch.randn(1500, 1500).matrix_power(10**9)", "timeout", "failed"),
    calls("a busy thread is left behind", """
        import threading
        def busy():
            while True: pass
        threading.Thread(target=busy, daemon=True).start()
        return 2 * x
    """, "timeout", "passed"),
    calls("hangs only when it is done", """
        import atexit, threading, time
        atexit.register(time.sleep, 10_000)
        threading.Thread(target=time.sleep, args=(10_000,)).start()
        return 2 * x
    """),
]  # fmt: skip
