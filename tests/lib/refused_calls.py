"""System calls that a test takes away, as an older kernel or a container does."""
import ctypes
import os
import struct


def refuse_call(number):
    """For preexec_fn: a seccomp filter, under which that call answers ENOSYS."""
    libc = ctypes.CDLL(None, use_errno=True)
    # load the number; is it the one? ENOSYS : allow
    code = struct.pack("HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 0x06, 0, 0, 0x00050026,
                       0x06, 0, 0, 0x7fff0000)
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(buffer)))
    for option, *arguments in ((38, 1, 0, 0, 0), (22, 2, ctypes.addressof(program), 0, 0)):
        if libc.prctl(option, *map(ctypes.c_ulong, arguments)) < 0:
            raise OSError(ctypes.get_errno(), "prctl")
