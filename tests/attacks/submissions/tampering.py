"""Hands on what is not the code's own. What could be done would end in the right answer: each of these would pass."""

from attack import calls
from submissions.readers import IN_C

REFUSED = "not permitted"
DENIED = "Permission denied"

TAMPERING = [
    calls("kills its parent", "import os, signal; os.kill(os.getppid(), signal.SIGKILL); return 2 * x", "failed", says=REFUSED),
    calls("kills everybody", "import os, signal; os.kill(-1, signal.SIGKILL); return 2 * x", "failed", says=REFUSED),
    calls("kills its group", "import os, signal; os.killpg(0, signal.SIGKILL); return 2 * x", "failed", "crashed"),
    calls("kills the first process", "import os; os.kill(1, 15); return 2 * x", "failed", says=REFUSED),
    calls("signals its parent by way of a descriptor", """
        import fcntl, os
        fcntl.fcntl(1, fcntl.F_SETOWN, os.getppid())
        return 2 * x
    """, "failed", says=REFUSED),
    calls("opens its parent as a file", "import os; os.pidfd_open(os.getppid()); return 2 * x", "failed", says=REFUSED),
    calls("queues a signal", "import os; must(libc.syscall(129, os.getppid(), 9, ctypes.create_string_buffer(128))); return 2 * x",
          "failed", says="refused", before=IN_C),
    calls("removes a file", "import os; os.remove('precious.txt'); return 2 * x", "failed"),
    calls("removes the interpreter", "import os, sys; os.remove(sys.executable); return 2 * x", "failed", says=DENIED),
    calls("renames torch", "import os; os.rename(torch.__file__, torch.__file__ + 'MARK'); return 2 * x", "failed", says=DENIED),
    calls("writes into torch", "open(torch.__file__, 'a'); return 2 * x", "failed", says=DENIED),
    calls("closes a file to others", "import os; os.chmod(torch.__file__, 0); return 2 * x", "failed", says=REFUSED),
    calls("gives a file away", "import os; os.chown(torch.__file__, 65534, 65534); return 2 * x", "failed", says=REFUSED),
    calls("turns a clock back", "import os; os.utime(torch.__file__, (0, 0)); return 2 * x", "failed", says=REFUSED),
    calls("empties a file", "import os; os.truncate(torch.__file__, 0); return 2 * x", "failed"),
    calls("marks a file", "import os; os.setxattr(torch.__file__, 'user.mark', b'x'); return 2 * x", "failed", says=REFUSED),
    calls("makes a folder", "import os; os.mkdir('/tmp/MARK'); return 2 * x", "failed", says=DENIED),
    calls("makes a pipe with a name", "import os; os.mkfifo('/tmp/MARK'); return 2 * x", "failed"),
    calls("raises its limits", """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        return 2 * x
    """, "failed"),
    calls("limits its parent", "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (0, 0)); return 2 * x",
          "failed", says=REFUSED),
    calls("raises its priority", "import os; os.setpriority(os.PRIO_PROCESS, 0, -20); return 2 * x", "failed"),
    calls("lowers its parent's priority", "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19); return 2 * x",
          "failed", says=REFUSED),
    calls("moves its parent to one core", "import os; os.sched_setaffinity(os.getppid(), {0}); return 2 * x", "failed", says=REFUSED),
    calls("asks for real time", "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99)); return 2 * x",
          "failed", says=REFUSED),
    calls("leaves its session", "import os; os.setsid(); return 2 * x", "failed", says=REFUSED),
    calls("a daemon", "import os\nif os.fork() == 0:\n    os.setsid()\n    os.fork()\nreturn 2 * x", "failed", says=REFUSED),
    calls("a process by clone in C", """
        code = libc.syscall(56, 17, 0, 0, 0, 0)
        if code == 0: libc.syscall(231, 0)
        must(code)
        return 2 * x
    """, "failed", says="refused", before=IN_C),
    calls("a process by clone3", "must(libc.syscall(435, ctypes.create_string_buffer(88), 88)); return 2 * x",
          "failed", says="refused", before=IN_C),
    calls("outlives its parent", "must(libc.prctl(1, 0, 0, 0, 0)); return 2 * x", "failed", says="refused", before=IN_C),
    calls("lets itself be traced", "must(libc.prctl(4, 1, 0, 0, 0)); return 2 * x", "failed", says="refused", before=IN_C),
    calls("a namespace of its own", "must(libc.unshare(0x10000000)); return 2 * x", "failed", says="refused", before=IN_C),
    calls("mounts", "must(libc.mount(b'none', b'/tmp', b'tmpfs', 0, b'')); return 2 * x", "failed", says="refused", before=IN_C),
    calls("a root of its own", "import os; os.chroot('/tmp'); return 2 * x", "failed", says=REFUSED),
    calls("another user", "import os; os.setuid(65534); return 2 * x", "failed", says=REFUSED),
    calls("a rule for the kernel", "must(libc.syscall(321, 0, 0, 0)); return 2 * x", "failed", says="refused", before=IN_C),
    calls("a ring of the kernel's", "must(libc.syscall(425, 8, ctypes.create_string_buffer(256))); return 2 * x",
          "failed", says="refused", before=IN_C),
    calls("a call by the 32-bit door", """
        import mmap
        code = bytes.fromhex('b802000000cd80c3')  # mov eax, 2 (fork); int 0x80; ret
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        place = ctypes.addressof(ctypes.c_char.from_buffer(page))
        must(-1 if ctypes.CFUNCTYPE(ctypes.c_int)(place)() < 0 else 0)
        return 2 * x
    """, "failed", "crashed", before=IN_C),
    calls("a call of the x32 kind", "must(libc.syscall(0x40000000 + 57)); return 2 * x", "crashed", before=IN_C, says="SIGSYS"),
    calls("a second wall, to close the first", "must(libc.syscall(317, 1, 0, 0)); return 2 * x", "failed", says="refused", before=IN_C),
]  # fmt: skip
