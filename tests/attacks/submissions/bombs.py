"""More memory, processes, files or text than anybody has."""

from attack import alone, calls, loads

BOMBS = [
    calls("forks", "import os\nwhile True: os.fork()", "failed", says="not permitted"),
    calls("forks by vfork in C", """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syscall(58) == -1: raise OSError(ctypes.get_errno(), 'refused')
        return x
    """, "failed", says="refused"),
    calls("starts a program", "import subprocess; subprocess.run(['sleep', '1000'])", "failed"),
    calls("starts a program by posix_spawn", "import os; os.posix_spawn('/bin/sh', ['sh'], {})", "failed"),
    calls("a shell", "import os; assert os.system('true') == 0; return x", "failed"),
    calls("processes of the standard library", """
        import multiprocessing
        with multiprocessing.get_context('fork').Pool(4) as pool: pool.map(abs, range(9))
        return x
    """, "failed"),
    calls("threads", """
        import threading, time
        while True: threading.Thread(target=time.sleep, args=(9999,)).start()
    """, "failed", "crashed", "timeout"),
    calls("64 GB at once", "return torch.empty(16 * 1024**3)", "failed"),
    calls("64 GB that are never touched", "return torch.zeros(1).expand(16 * 1024**3) + 1", "failed"),
    calls("a list that grows", "a = [0]\nwhile True: a += a", "failed", "crashed", "timeout"),
    calls("many small tensors", "a = []\nwhile True: a.append(torch.ones(1000))", "failed", "crashed", "timeout"),
    calls("a shared mapping", "import mmap; m = mmap.mmap(-1, 1 << 33); m[::4096]; return x", "failed"),
    calls("a memory file", "import os; os.ftruncate(os.memfd_create('MARK'), 1 << 33); return x", "failed", says="not permitted"),
    calls("shared memory of the standard library", """
        from multiprocessing import shared_memory
        shared_memory.SharedMemory('MARK', create=True, size=1 << 30)
        return x
    """, "failed"),
    calls("shared memory of torch", "return (2 * x).share_memory_()", "failed", "crashed"),
    calls("shared memory of System V", """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.shmget(0, ctypes.c_size_t(1 << 30), 0o1600) == -1: raise OSError(ctypes.get_errno(), 'refused')
        return x
    """, "failed", says="refused"),
    calls("descriptors", "import os\nwhile True: os.dup(1)", "failed", says="Too many open files"),
    calls("fills the disk", """
        with open('/tmp/MARK', 'wb') as file:
            while True: file.write(bytes(1 << 20))
    """, "failed", says="Permission denied"),
    calls("fills the disk by torch", "torch.save(torch.zeros(1 << 20), '/var/tmp/MARK'); return x", "failed"),
    calls("a temporary file", "import tempfile; tempfile.NamedTemporaryFile(prefix='MARK', delete=False); return x", "failed"),
    calls("a million arguments", "return double(*[x] * 10**6)", "failed", says="TypeError"),
    calls("a giant that weighs nothing", "return torch.zeros(1).expand(10**12)", "failed"),
    calls("a billion small parameters", "return {str(i): i for i in range(10**7)}", "failed", "crashed", "timeout"),
    loads("text of a terabyte, folded by the compiler", "x = 'a' * 10**12", "not_run", "failed", "crashed"),
    loads("a number of a billion digits, folded by the compiler", "x = 1 << 10**10", "not_run", "failed", "crashed", "timeout"),
    loads("nine to the nine to the nine", "x = 9 ** 9 ** 9", "timeout", "not_run", "failed", "crashed"),
    alone("five thousand parentheses", "(" * 5000 + ")" * 5000, "not_run"),
    alone("a hundred thousand parentheses", "(" * 100_000 + ")" * 100_000, "not_run"),
    alone("fifty thousand minus signs", "x = " + "-" * 50_000 + "1", "not_run", "crashed", "failed"),
    alone("a sum of two hundred thousand", "x = " + "+".join("1" * 200_000), "not_run", "crashed", "failed"),
    alone("blocks a hundred deep", "".join(" " * i + "if 1:\n" for i in range(150)) + " " * 150 + "pass", "not_run"),
]  # fmt: skip
