"""Looks at what is hidden. What could be read would be the right answer: each of these would pass."""

from attack import PACK, ROOT, calls, loads

HIDDEN = PACK / "drills/target/hidden_tests.py"
SOLUTION = ROOT / "solutions/rmsnorm.py"
DENIED = "Permission denied"
REFUSED = "not permitted"
IN_C = """
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    def must(code):
        if code == -1: raise OSError(ctypes.get_errno(), 'refused')
        return code
"""

READERS = [
    calls("the hidden tests", f"open({str(HIDDEN)!r}).read(); return 2 * x", "failed", says=DENIED),
    calls("the solution", f"open({str(SOLUTION)!r}).read(); return 2 * x", "failed", says=DENIED),
    calls("the hidden tests through /proc", f"open('/proc/self/root{HIDDEN}').read(); return 2 * x", "failed", says=DENIED),
    calls("the hidden tests by mmap of torch", f"torch.from_file({str(HIDDEN)!r}, size=10, dtype=torch.uint8); return 2 * x", "failed"),
    calls("the hidden tests by NumPy", f"import numpy; numpy.fromfile({str(HIDDEN)!r}, 'u1'); return 2 * x", "failed", says=DENIED),
    calls("the hidden tests by a system call", f"must(libc.open({str(HIDDEN)!r}.encode(), 0)); return 2 * x", "failed",
          says="refused", before=IN_C),
    calls("the hidden tests by sqlite", f"import sqlite3; sqlite3.connect('file:{HIDDEN}?mode=ro', uri=True).execute('select 1 from sqlite_master'); return 2 * x", "failed"),
    calls("the hidden tests by the import system", f"""
        import importlib.util
        spec = importlib.util.spec_from_file_location('h', {str(HIDDEN)!r})
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        return 2 * x
    """, "failed", says=DENIED),
    calls("the hidden tests by linecache", f"import linecache; return 2 * x if linecache.getlines({str(HIDDEN)!r}) else x", "failed"),
    calls("a link to the hidden tests", f"import os; os.symlink({str(HIDDEN)!r}, '/tmp/MARK'); return 2 * x", "failed", says=DENIED),
    calls("a hard link to the hidden tests", f"import os; os.link({str(HIDDEN)!r}, '/tmp/MARK'); return 2 * x", "failed"),
    calls("the names of files", "import os; os.listdir('/'); return 2 * x", "failed", says=DENIED),
    calls("the folder of the pack", f"import os; os.listdir({str(PACK)!r}); return 2 * x", "failed", says=DENIED),
    calls("other users", "open('/etc/passwd').read(); return 2 * x", "failed", says=DENIED),
    calls("the parent's memory", "import os; open(f'/proc/{os.getppid()}/mem', 'rb'); return 2 * x", "failed", says=DENIED),
    calls("the parent's environment", "import os; open(f'/proc/{os.getppid()}/environ', 'rb').read(); return 2 * x", "failed", says=DENIED),
    calls("its own memory map", "open('/proc/self/maps').read(); return 2 * x", "failed", says=DENIED),
    calls("the parent's memory by a system call", """
        import os
        place = ctypes.create_string_buffer(8)
        span = (ctypes.c_void_p * 2)(ctypes.addressof(place), 8)
        must(libc.process_vm_readv(os.getppid(), span, 1, span, 1, 0))
        return 2 * x
    """, "failed", says="refused", before=IN_C),
    calls("traces its parent", "import os; must(libc.ptrace(16, os.getppid(), 0, 0)); return 2 * x", "failed",
          says="refused", before=IN_C),
    calls("a handle of a file", """
        must(libc.open_by_handle_at(3, ctypes.create_string_buffer(64), 0))
        return 2 * x
    """, "failed", says="refused", before=IN_C),
    calls("a program that reads for it", f"import os; os.execv('/bin/cat', ['cat', {str(HIDDEN)!r}])", "failed"),
    calls("the network", "import socket; socket.create_connection(('127.0.0.1', 9)); return 2 * x", "failed"),
    calls("a datagram", "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)); return 2 * x",
          "failed", says=REFUSED),
    calls("a name on the network", "import socket; socket.getaddrinfo('example.org', 80); return 2 * x", "failed"),
    calls("a URL", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9'); return 2 * x", "failed"),
    calls("the server's socket", """
        import socket
        s = socket.socket(socket.AF_UNIX)
        s.connect('/tmp/llm-drills-0/server.sock')
        return 2 * x
    """, "failed", says=REFUSED),
    calls("secrets in the environment", """
        import os
        known = {'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'PATH', 'HOME', 'OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OMP_STACKSIZE'}
        extra = [name for name in os.environ if name not in known and not name.startswith(('TORCH', 'KMP', 'PYTORCH'))]
        if not extra: raise LookupError('nothing to see')
        return 2 * x
    """, "failed", says="nothing to see"),
    calls("expected values in memory", """
        import gc
        held = [o for o in gc.get_objects() if isinstance(o, torch.Tensor) and o is not x and o.shape == x.shape]
        if not any(torch.equal(o.to(x.dtype), 2 * x) for o in held): raise LookupError('nothing to see')
        return 2 * x
    """, "failed", says="nothing to see"),
    calls("the tests' code in memory", """
        import gc, types
        names = {o.__name__ for o in gc.get_objects() if isinstance(o, types.FunctionType)}
        if not any(name.startswith('test_double') for name in names): raise LookupError('nothing to see')
        return 2 * x
    """, "failed", says="nothing to see"),
    calls("the solution's name in modules", """
        import sys
        found = [m for m in sys.modules if m.split('.')[0] in ('solutions', 'drills', 'pytest', 'hidden_tests')]
        if not found: raise LookupError('nothing to see')
        return 2 * x
    """, "failed", says="nothing to see"),
    calls("frames above it", """
        import sys
        frame, seen = sys._getframe(), []
        while frame:
            seen += [*map(repr, frame.f_locals), frame.f_code.co_name]
            frame = frame.f_back
        if not any('test_' in each or 'expected' in each for each in seen): raise LookupError('nothing to see')
        return 2 * x
    """, "failed", says="nothing to see"),
    loads("the course by its package", "from drills.catalogue import Catalogue", "failed", "not_run", "forbidden"),
    calls("keys of the kernel", "must(libc.syscall(250, 0, -3, 0)); return 2 * x", "failed", says="refused", before=IN_C),
]  # fmt: skip
