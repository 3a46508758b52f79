"""Tensors that are not what they seem, and some that are odd and right."""

from attack import calls, loads

TENSORS = [
    calls("a subclass that answers for itself", "return x.as_subclass(Yes)", "failed", "crashed", before="""
        class Yes(torch.Tensor):
            @classmethod
            def __torch_function__(cls, f, types, args=(), kwargs=None): return True
    """),
    calls("a subclass that dispatches", "return Fake(x)", "failed", "crashed", before="""
        class Fake(torch.Tensor):
            @staticmethod
            def __new__(cls, x): return torch.Tensor._make_wrapper_subclass(cls, x.shape, dtype=x.dtype)
            @classmethod
            def __torch_dispatch__(cls, f, types, args=(), kwargs=None): return args[0]
    """),
    calls("a right subclass", "return (2 * x).as_subclass(Mine)", before="class Mine(torch.Tensor): pass"),
    calls("methods of the instance replaced", """
        y = x.clone()
        y.numpy = y.detach = y.cpu = y.contiguous = lambda *a, **k: 2 * x
        y.tolist = lambda: (2 * x).tolist()
        return y
    """, "failed"),
    calls("the argument, changed in place", "return x.mul_(2)", "failed"),
    calls("the argument's data, changed in place", "x.data.mul_(2); return x", "failed"),
    calls("the argument, changed through NumPy", "a = x.detach().numpy(); a *= 2; return x.clone()", "failed"),
    calls("changed and changed back", "y = x.detach().clone(); x.detach().zero_(); x.detach().copy_(y); return 2 * x"),
    calls("another dtype", "return 2.0 * x.double()", "failed"),
    calls("on no device", "return (2 * x).to('meta')", "failed"),
    calls("sparse", "return (2 * x).to_sparse()", "failed"),
    calls("compressed rows", "return (2 * x).to_sparse_csr()", "failed"),
    calls("nested", "return torch.nested.nested_tensor([2 * x])", "failed"),
    calls("quantised", "return torch.quantize_per_tensor(2.0 * x.detach().float(), 0.1, 0, torch.qint8)", "failed"),
    calls("complex", "return torch.complex(2.0 * x, 0.0 * x)", "failed"),
    calls("in eight bits", "return (2 * x).to(torch.float8_e4m3fn)", "failed"),
    calls("for another library", "return (2.0 * x).to_mkldnn()", "failed"),
    calls("NaN", "return torch.full_like(x, float('nan'))", "failed"),
    calls("infinity", "return x / 0", "failed"),
    calls("one element for all", "return (2 * x).flatten()[0].expand_as(x)", "failed"),
    calls("broadcast to the right shape", "return 2 * x[..., :1]", "failed"),
    calls("one dimension more", "return (2 * x)[None]", "failed"),
    calls("transposed", "return (2 * x).T.contiguous()", "failed"),
    calls("a list", "return (2 * x).tolist()", "failed"),
    calls("a tuple", "return (2 * x,)", "failed"),
    calls("an array", "return (2 * x).detach().numpy()", "failed"),
    calls("a generator", "yield 2 * x", "failed"),
    calls("a coroutine", "return later()", "failed", before="async def later(): return 1"),
    calls("a function that would give it", "return lambda: 2 * x", "failed"),
    calls("nothing", "2 * x", "failed"),
    calls("itself", "return double", "failed"),
    calls("the class", "return torch.Tensor", "failed"),
    calls("detached", "return (2 * x).detach()", "failed"),
    calls("rebuilt from its numbers", "return torch.tensor((2 * x).tolist(), dtype=x.dtype)", "failed"),
    calls("right, and a gradient that is not", "return Wrong.apply(x)", "failed", before="""
        class Wrong(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x): return 2 * x
            @staticmethod
            def backward(ctx, g): return g
    """),
    calls("a gradient of another shape", "return Wrong.apply(x)", "failed", before="""
        class Wrong(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x): return 2 * x
            @staticmethod
            def backward(ctx, g): return torch.ones(7)
    """),
    calls("a gradient changed by a hook", """
        y = 2 * x
        if y.requires_grad: y.register_hook(lambda g: g * 0)
        return y
    """, "failed"),
    calls("a gradient of its own, in the grad field", """
        if x.requires_grad: x.grad = torch.full_like(x, 2.0)
        return (2 * x).detach()
    """, "failed"),
    loads("grad mode switched off", "torch.set_grad_enabled(False)", "failed"),
    loads("inference mode", "guard = torch.inference_mode(); guard.__enter__()", "failed"),
    loads("another default dtype", "torch.set_default_dtype(torch.float64)\ndef double(x): return x * torch.full(x.shape, 2.0)", "failed"),
    loads("another default device", "torch.set_default_device('meta')", "failed", "crashed"),
    loads("deterministic algorithms, and right", "torch.use_deterministic_algorithms(True)"),
    loads("many threads, and right", "torch.set_num_threads(64)"),
    calls("many threads for one call, and right", "torch.set_num_threads(64); return 2 * x"),
    loads("another print format, and right", "torch.set_printoptions(precision=2, threshold=1)"),
    loads("warnings as errors, and right", "import warnings; warnings.simplefilter('error')"),
    loads("no garbage collection, and right", "import gc; gc.disable(); gc.freeze()"),
    loads("another seed for everybody, and right", "import random; torch.manual_seed(1); random.seed(1)"),
    loads("denormals flushed, and right", "torch.set_flush_denormal(True)"),
    loads("profiled and traced, and right", "import sys; sys.setprofile(lambda *a: None); sys.settrace(lambda *a: None)"),
    calls("a view of a large storage, and right", """
        y = torch.zeros(10**6, dtype=x.dtype)
        view = y[5:5 + x.numel()].view(x.shape)
        return view + 2 * x
    """),
    calls("with odd strides, and right", "return (2 * x).flip(0).clone().flip(0).t().contiguous().t() if x.dim() == 2 else 2 * x"),
    calls("a lazy negative, and right", "return torch._neg_view(-2 * x)"),
    calls("a lazy conjugate, and right", "return torch.complex(2.0 * x, 0.0 * x).conj().real.to(x.dtype)"),
    calls("made with vmap, and right", "return torch.func.vmap(lambda r: r + r)(x)"),
    calls("a parameter, and right", "return torch.nn.Parameter(2 * x) if x.dtype.is_floating_point and not x.requires_grad else 2 * x"),
    calls("with a hook that only looks, and right", """
        y = 2 * x
        if y.requires_grad: y.register_hook(lambda g: None)
        return y
    """),
    calls("by a custom function with the right gradient", "return Right.apply(x)", before="""
        class Right(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x): return x + x
            @staticmethod
            def backward(ctx, g): return g + g
    """),
    calls("by a compiled graph of torch.fx, and right", "return torch.fx.symbolic_trace(lambda x: x + x)(x)"),
    calls("in threads, and right", """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool:
            return sum(pool.map(lambda _: x, range(2)))
    """),
    calls("draws from the generator first", "generator.initial_seed(); torch.rand(1, generator=generator); return torch.rand(n, generator=generator)",
          "failed", of="pick"),
    calls("draws from everybody's generator", "return torch.rand(n)", "failed", of="pick"),
    calls("closes the generator", "generator.manual_seed(0); return torch.rand(n, generator=generator)", "failed", of="pick"),
]  # fmt: skip
