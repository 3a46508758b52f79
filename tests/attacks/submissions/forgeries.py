"""Passes that are not earned."""

from attack import calls, loads

WRONG = "\ndef double(x): return x\n"

FORGERIES = [
    calls("exits with 0", "import os; os._exit(0)", "crashed", says="exit status 0"),
    loads("exits with 0 when loaded", "import os; os._exit(0)", "crashed", says="exit status 0"),
    calls("sys.exit", "import sys; sys.exit(0)", "failed", "crashed"),
    loads("sys.exit when loaded", "import sys; sys.exit(0)", "not_run", "failed", "crashed"),
    loads("atexit", "import atexit, os\natexit.register(os._exit, 0)" + WRONG, "failed"),
    calls("skips", "import pytest; pytest.skip('not today')", "failed"),
    calls("a class named Skipped", "raise Skipped('not today')", "failed", "crashed", before="""
        class Skipped(BaseException): pass
        Skipped.__module__ = 'builtins'
    """),
    loads("patches comparisons", """
        import torch.testing
        torch.allclose = torch.equal = torch.isclose = lambda *a, **k: True
        torch.testing.assert_close = lambda *a, **k: None
        torch.Tensor.__eq__ = torch.Tensor.eq = lambda *a: torch.ones(1, dtype=torch.bool)
    """ + WRONG, "failed"),
    loads("patches builtins", """
        import builtins
        builtins.abs = lambda x: 0
        builtins.isinstance = lambda *a: True
        builtins.AssertionError = ValueError
    """ + WRONG, "failed", "crashed"),
    loads("stands in for pytest and the grader", """
        import sys, types
        for name in ('pytest', '_pytest', 'grader.testing', 'grader.engine.judge', 'hidden_tests'):
            sys.modules[name] = types.ModuleType(name)
    """ + WRONG, "failed"),
    loads("writes a plugin", """
        for name in ('conftest.py', 'sitecustomize.py', 'usercustomize.py', 'pytest.ini', 'MARK.pth'):
            for folder in ('', '/tmp/', '/'):
                try: open(folder + name, 'w').write('import pytest')
                except OSError: pass
    """ + WRONG, "failed"),
    calls("always equal", "return Same()", "failed", before="""
        class Same:
            def __eq__(self, other): return True
            def __getattr__(self, name): return self
            def __call__(self, *a, **k): return self
            def __bool__(self): return True
            def __iter__(self): return iter(())
    """),
    calls("a number that is always equal", "return Any(1)", "failed", before="""
        class Any(float):
            def __eq__(self, other): return True
            __lt__ = __le__ = __gt__ = __ge__ = __eq__
            def __hash__(self): return 0
    """),
    calls("a mock", "from unittest.mock import MagicMock; return MagicMock()", "failed"),
    calls("writes to every descriptor", """
        import os
        for fd in range(3, 100):
            try: os.write(fd, b'passed' * 50)
            except OSError: pass
        return x
    """, "crashed"),
    calls("replaces the function that sends", "return x", "crashed", "failed", "timeout", before="""
        import sys
        for name, module in list(sys.modules.items()):
            if name.startswith('grader') and hasattr(module, 'send_frame'):
                module.send_frame = lambda *a, **k: None
    """),
    calls("answers the next question, with the nonce of this one", """
        import sys, msgspec
        from grader.engine import runner
        from grader.engine.messages import Ok
        frame = sys._getframe()
        while frame.f_code.co_name != '_serve': frame = frame.f_back
        for _ in range(2):
            runner._answer(frame.f_locals['data'], frame.f_locals['request'].nonce, Ok(True), [])
        return x
    """, "crashed", "failed", "timeout"),
    calls("answers with guessed nonces", """
        import sys
        from grader.engine import runner
        from grader.engine.messages import Ok
        frame = sys._getframe()
        while frame.f_code.co_name != '_serve': frame = frame.f_back
        for nonce in range(1000):
            runner._answer(frame.f_locals['data'], nonce, Ok(True), [])
        return x
    """, "crashed"),
    calls("sends an answer of a kind that is not asked for", """
        import sys
        from grader.engine import runner
        from grader.engine.messages import Ready
        frame = sys._getframe()
        while frame.f_code.co_name != '_serve': frame = frame.f_back
        runner._answer(frame.f_locals['data'], frame.f_locals['request'].nonce, Ready(1, {}), [])
        return x
    """, "crashed", "failed"),
    loads("says that it stands behind no wall", """
        from grader.engine import runner
        from grader.engine.messages import Ready
        import sys
        frame = sys._getframe()
        while frame.f_code.co_name != 'main': frame = frame.f_back
        runner._answer(frame.f_locals['data'], 0, Ready(1, {'process': 'inactive'}), [])
    """ + WRONG, "crashed", "failed"),
    calls("replaces what encodes values", "return x", "failed", "crashed", before="""
        from grader.engine import values
        values.Encoder.encode = lambda self, value: True
    """),
    calls("calls what the drill rules out", "return torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps)",
          "forbidden", of="rms_norm", topic="rmsnorm"),
    calls("calls it by another name", "return getattr(torch, 'rms' + '_norm')(x, x.shape[-1:], weight, eps)",
          "forbidden", of="rms_norm", topic="rmsnorm"),
    calls("calls the operator", "return torch.ops.aten.rms_norm(x, x.shape[-1:], weight, eps)",
          "forbidden", of="rms_norm", topic="rmsnorm"),
    calls("calls it and hides it", """
        try:
            return torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps)
        except BaseException:
            y = x.double()
            y = y / (y.square().mean(-1, keepdim=True) + eps).sqrt()
            return (y if weight is None else y * weight).to(x.dtype)
    """, "forbidden", of="rms_norm", topic="rmsnorm"),
    loads("imports the solution", "from solutions.target import double", "failed", "not_run", "forbidden"),
    calls("imports the solution by parts", "import importlib; return importlib.import_module('solu' + 'tions.rmsnorm').rms_norm(x)",
          "forbidden", of="rms_norm", topic="rmsnorm"),
    calls("passes by luck once", """
        import os
        try: os.mkdir('/tmp/MARK')
        except OSError: return 0 * x
        return 2 * x
    """, "failed"),
    calls("remembers the check before", "return 2 * x if counter.append(1) or len(counter) > 1 else x", "failed",
          before="counter = []"),
]  # fmt: skip
