"""A seccomp filter for runners: no new processes, no sockets, no signals to others, nothing that outlives the check.

The filter refuses (EPERM) what a runner has no honest use for and allows the rest, because torch and libc differ from
release to release in what they call, and a right answer must not fail for it. What it refuses is what Landlock and the
rlimits leave open: changing modes, owners and times of files, UDP and Unix sockets, signals, limits and priorities of
other processes, memory that no limit counts (memfd, System V), and kernel interfaces with a history.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import platform
import struct
from collections.abc import Iterator

# Classic BPF (linux/filter.h) and seccomp (linux/seccomp.h).
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets into struct seccomp_data
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_CLONE_THREAD = 0x00010000
_NEWEST = 462  # mseal, Linux 6.10: what came later is unknown here, and refused as not implemented

_X32_BIT = 0x40000000
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86_64, aarch64); None where the architecture has no such call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # new processes and programs
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    # other processes
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "process_madvise": (440, 440),
    "process_mrelease": (448, 448), "kcmp": (312, 272), "migrate_pages": (256, 238), "move_pages": (279, 239),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
    "setsid": (112, 157), "setpgid": (109, 154), "setrlimit": (160, 164),
    # sockets (a pair of connected ones is fine: event loops use it)
    "socket": (41, 198), "connect": (42, 203), "accept": (43, 202), "accept4": (288, 242), "bind": (49, 200),
    "listen": (50, 201),
    # files: modes, owners, times, attributes, special files
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None),
    "fchown": (93, 55), "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None),
    "futimesat": (261, None), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    "mknod": (133, None), "mknodat": (259, 33), "truncate": (76, 45), "ftruncate": (77, 46),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "sync": (162, 81), "syncfs": (306, 267),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
    # memory that no limit of the process counts
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "shmget": (29, 194), "shmat": (30, 196),
    "shmctl": (31, 195), "semget": (64, 190), "semctl": (66, 191), "semop": (65, 193), "msgget": (68, 186),
    "mq_open": (240, 180),
    # identity and privileges
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setgroups": (116, 159), "setresuid": (117, 147), "setresgid": (119, 149), "setfsuid": (122, 151),
    "setfsgid": (123, 152), "capset": (126, 91), "personality": (135, 92), "unshare": (272, 97), "setns": (308, 268),
    "seccomp": (317, 277),
    # the machine
    "chroot": (161, 51), "pivot_root": (155, 41), "mount": (165, 40), "umount2": (166, 39), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "swapon": (167, 224), "swapoff": (168, 225),
    "reboot": (169, 142), "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None),
    "ioperm": (173, None), "modify_ldt": (154, None), "init_module": (175, 105), "delete_module": (176, 106),
    "finit_module": (313, 273), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "acct": (163, 89),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "quotactl": (179, 60), "syslog": (103, 116), "vhangup": (153, 58), "bpf": (321, 280),
    "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219),
}  # fmt: skip
_CLONE, _CLONE3 = (56, 220), 435
_SIGNALS = ((62, 129), (200, 130), (234, 131))  # kill, tkill, tgkill: to this process only
_PRLIMIT = (302, 261)  # reading limits is fine, setting them is not
_PRCTL = (157, 167)
_PRCTL_ALLOWED = (15, 16, 0x53564D41)  # set and get the thread's name; name a memory area (libc does)
_FCNTL = (72, 25)
_FCNTL_REFUSED = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals by way of a descriptor


def _op(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def _argument(index: int, *, high: bool = False) -> bytes:
    return _op(_LOAD, _ARGUMENTS + 8 * index + (4 if high else 0))


_REFUSE = _op(_RETURN, _ERRNO | errno.EPERM)
_PERMIT = _op(_RETURN, _ALLOW)


def _only(number: int, body: list[bytes]) -> Iterator[bytes]:
    """`body` for this system call; for others the number is still loaded and the next test follows."""
    yield _op(_EQUAL, number, 0, len(body))
    yield from body


_PID = 0x7FABCDEF  # above every process id: stands for the runner's own in the template


def build(pid: int) -> bytes:
    """The filter's program for the process `pid`. Raises NotImplementedError on other architectures."""
    return template().replace(_op(_EQUAL, _PID, 0, 1), _op(_EQUAL, pid, 0, 1))


@functools.cache
def template() -> bytes:
    """The program with _PID in it, made once by the parent of all runners."""
    machine = platform.machine()
    if machine not in _AUDIT_ARCH:
        raise NotImplementedError(f"no system call table for {machine}")
    column = 0 if machine == "x86_64" else 1
    program = [
        _op(_LOAD, _ARCH), _op(_EQUAL, _AUDIT_ARCH[machine], 1, 0), _op(_RETURN, _KILL),
        _op(_LOAD, _NUMBER), _op(_AT_LEAST, _X32_BIT, 0, 1), _op(_RETURN, _KILL),
        _op(_AT_LEAST, _NEWEST + 1, 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS),
    ]  # fmt: skip
    for numbers in _REFUSED.values():
        number = numbers[column]
        if number is not None:
            program += _only(number, [_REFUSE])
    program += _only(_CLONE3, [_op(_RETURN, _ERRNO | errno.ENOSYS)])  # libc falls back to clone, whose flags we see
    program += _only(_CLONE[column], [_argument(0), _op(_ANY_BIT, _CLONE_THREAD, 0, 1), _PERMIT, _REFUSE])
    for signal_call in _SIGNALS:
        program += _only(signal_call[column], [_argument(0), _op(_EQUAL, _PID, 0, 1), _PERMIT, _REFUSE])
    program += _only(
        _PRLIMIT[column],
        [_argument(2), _op(_EQUAL, 0, 0, 3), _argument(2, high=True), _op(_EQUAL, 0, 0, 1), _PERMIT, _REFUSE],
    )
    allowed = [op for value in _PRCTL_ALLOWED for op in (_op(_EQUAL, value, 0, 1), _PERMIT)]
    program += _only(_PRCTL[column], [_argument(0), *allowed, _REFUSE])
    refused = [op for value in _FCNTL_REFUSED for op in (_op(_EQUAL, value, 0, 1), _REFUSE)]
    program += _only(_FCNTL[column], [_argument(1), *refused, _PERMIT])
    program.append(_PERMIT)
    return b"".join(program)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(pid: int) -> None:
    """Put the filter on this process, for good. Needs no-new-privileges. Raises OSError when the kernel refuses."""
    code = build(pid)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")
