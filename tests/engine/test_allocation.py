"""Freed memory stays with a process that was told to keep it."""

import subprocess
import sys
from pathlib import Path

import pytest

from deeplense_registry.engine.allocation import keep_freed_memory

KEEPS = """
import ctypes, re, sys
from pathlib import Path
from deeplense_registry.engine.allocation import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def resident():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) // 1024

told = sys.argv[1] == "told" and keep_freed_memory()
size = 256 << 20
block, before = libc.malloc(size), resident()
ctypes.memset(block, 1, size)
libc.free(block)
print(told, resident() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize("told", ["told", "untold"])
def test_memory_is_kept_where_asked(told):
    result = subprocess.run([sys.executable, "-c", KEEPS, told], capture_output=True, text=True, check=True, env={})
    listened, kept = result.stdout.split()
    assert listened == str(told == "told")
    assert int(kept) > 128 if told == "told" else int(kept) < 16  # of 256 MiB


def test_the_environment_stands(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    assert not keep_freed_memory()


def test_elsewhere_nothing_changes(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
