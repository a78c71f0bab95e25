"""Anonymous memory of a training process with 1x and 10x data: it must not grow with the number of shards.

    python benchmarks/bench_memory.py [IMAGES]

Prints the peak of RssAnon while training; pixels are mapped, so they live in the page cache and do not count.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPEC = """
[run]
name = "memory"
[dataset.lenses]
train = {images}
val = 12
test = 12
[method.simclr]
[backbone.levit]
variant = "128s"
[train]
epochs = {epochs}
batch_size = 64
threads = 1
"""


def anonymous(pid: int) -> int:
    """RssAnon of a process in bytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def peak(images: int, epochs: int, folder: Path) -> int:
    """The peak over a run whose shards are there already."""
    spec = folder / f"{images}.toml"
    spec.write_text(SPEC.format(images=images, epochs=epochs))
    deeplense = [sys.executable, "-m", "deeplense_registry"]
    subprocess.run([*deeplense, "shards", "build", spec], check=True, capture_output=True)
    run = [*deeplense, "run", str(spec), "--runs", str(folder / str(images))]
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    highest = 0
    while process.poll() is None:
        highest = max(highest, anonymous(process.pid))
        time.sleep(0.05)
    assert process.returncode == 0
    return highest


def main() -> None:
    """Compare."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    with tempfile.TemporaryDirectory() as folder:
        small, large = peak(images, 10, Path(folder)), peak(10 * images, 1, Path(folder))
    print(f"{images} images: {small / 2**20:.0f} MiB; {10 * images} images: {large / 2**20:.0f} MiB")
    print(f"growth: {(large - small) / 2**20:+.1f} MiB for {9 * images * 16384 / 2**20:.0f} MiB more pixels")


if __name__ == "__main__":
    main()
