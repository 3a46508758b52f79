"""Answers and prints that are too much, or are none."""

from attack import calls, loads

# The runner's own socket to the judge, found in the frames above.
SOCKET = """
    import os, sys
    def line():
        frame = sys._getframe()
        while frame.f_code.co_name != '_serve': frame = frame.f_back
        return frame.f_locals['data']
"""

OUTPUT = [
    calls("prints a gigabyte", "for _ in range(10**5): print('x' * 10_000)\nreturn 2 * x", "timeout", "passed"),
    calls("prints without end", "while True: print('x' * 10_000)", "timeout"),
    calls("prints without end on standard error", "import os\nwhile True: os.write(2, b'x' * 10_000)", "timeout"),
    calls("prints ten thousand lines, and is right", "print('line\\n' * 10_000); return 2 * x"),
    calls("prints escapes, and is right", "print('\\x1b]0;title\\x07\\x1b[2J\\x1b[31mred\\x9b5m\\x00', flush=True); return 2 * x"),
    calls("prints what is no UTF-8, and is right", "import os; os.write(1, bytes(range(256)) * 10); return 2 * x"),
    calls("prints half a character, and is right", "print('\\ud800 \\udfff'); return 2 * x"),
    calls("closes what it prints to, and is right", "import os\nfor fd in (1, 2):\n    try: os.close(fd)\n    except OSError: pass\nreturn 2 * x"),
    calls("takes the streams away, and is right", "import sys; sys.stdout = sys.stderr = sys.stdin = None; return 2 * x"),
    calls("streams that raise, and is right", "import sys; sys.stdout = sys.stderr = Bad(); return 2 * x", before="""
        class Bad:
            def __getattr__(self, name): raise RuntimeError('no')
    """),
    calls("closes everything", "import os; os.closerange(0, 1000); return 2 * x", "crashed"),
    calls("hangs up and lives on", "line().close(); import time; time.sleep(1000)", "crashed", before=SOCKET),
    calls("shuts the line", "line().shutdown(2); return 2 * x", "crashed", before=SOCKET),
    calls("random bytes", "os.write(line().fileno(), os.urandom(10_000)); return 2 * x", "crashed", before=SOCKET),
    calls("nothing but zeros", "os.write(line().fileno(), bytes(10_000)); return 2 * x", "crashed", before=SOCKET),
    calls("a length of 2**32 - 1", "os.write(line().fileno(), b'DRL1' + b'\\xff' * 12); return 2 * x", "crashed", before=SOCKET),
    calls("a length that is a byte too long", """
        import socket
        from grader.engine import frames
        real = socket.socket.sendmsg
        data = line()
        os.write(data.fileno(), b'DRL1' + (9).to_bytes(4, 'little') + bytes(8) + b'\\x92')
        return 2 * x
    """, "crashed", before=SOCKET),
    calls("a reply byte by byte", """
        import time
        while True:
            os.write(line().fileno(), b'D')
            time.sleep(0.05)
    """, "crashed", "timeout", before=SOCKET),
    calls("a good beginning and then byte by byte", """
        import time
        os.write(line().fileno(), b'DRL1' + (1000).to_bytes(4, 'little') + bytes(8))
        while True:
            os.write(line().fileno(), b'\\x00')
            time.sleep(0.02)
    """, "crashed", "timeout", before=SOCKET),
    calls("maps nested ten thousand deep", """
        import struct
        text = b'\\x81\\xa1a' * 10_000 + b'\\xc0'
        os.write(line().fileno(), b'DRL1' + struct.pack('<IQ', len(text), 0) + text)
        return 2 * x
    """, "crashed", before=SOCKET),
    calls("a billion elements announced", """
        import struct
        text = b'\\xdd\\x3b\\x9a\\xca\\x00'
        os.write(line().fileno(), b'DRL1' + struct.pack('<IQ', len(text), 0) + text)
        return 2 * x
    """, "crashed", before=SOCKET),
    calls("a payload of a petabyte announced", """
        import struct
        os.write(line().fileno(), b'DRL1' + struct.pack('<IQ', 1, 1 << 50) + b'\\xc0')
        return 2 * x
    """, "crashed", before=SOCKET),
    calls("floods the line", """
        data = line()
        data.setblocking(True)
        while True: data.send(b'DRL1' * 10_000)
    """, "crashed", "timeout", before=SOCKET),
    calls("answers, and then listens no more", """
        from grader.engine import runner
        from grader.engine.messages import Ok
        import time
        frame = sys._getframe()
        while frame.f_code.co_name != '_serve': frame = frame.f_back
        runner._answer(line(), frame.f_locals['request'].nonce, Ok(None), [])
        time.sleep(10_000)
    """, "failed", "timeout", before=SOCKET),
    calls("sends descriptors", """
        import socket
        socket.send_fds(line(), [b'DRL1'], [0, 1, 2] * 50)
        return 2 * x
    """, "crashed", "failed", before=SOCKET),
    loads("prints when loaded, in every check the same, and is right", "print('hello from MARK')"),
    calls("a text of 100 MB", "return 'x' * 100_000_000", "failed", "crashed"),
    calls("a number of a million digits", "return 10 ** 1_000_000", "failed", "crashed"),
    calls("bytes", "return bytes(10)", "failed"),
]  # fmt: skip
