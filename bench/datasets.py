"""How long datasets of many small photographs take until the first batch, and the memory that they need.

    python bench/datasets.py [PHOTOGRAPHS]

Each form is opened in a process of its own. The time of opening is also given as a ratio to torchvision's ImageFolder
on the same folder, measured in the same run.
"""

from __future__ import annotations

import csv
import io
import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from measure import machine

CLASSES = 20
BATCH = 32
LARGE_MEGABYTES = 400
Measured = tuple[float, float, float, float]


def main() -> None:
    """Write the photographs in every form, measure each, and print a table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print(machine("torchvision", "pyarrow"))
    with tempfile.TemporaryDirectory() as folder:
        forms = write_forms(Path(folder), count)
        _, listing, _, _ = in_a_process(measure_image_folder, str(forms["folder"]))
        print(f"\n{count:,} photographs of 16 x 16; torchvision's ImageFolder lists the folder in {listing:.2f} s\n")
        print("| form | opened, s | x ImageFolder | with fingerprint, s | to the first batch, s | memory, MB |")
        print("|---|---|---|---|---|---|")
        for name, path in forms.items():
            opened, printed, batch, memory = in_a_process(measure_form, str(path))
            print(f"| {name} | {opened:.2f} | {opened / listing:.2f} | {printed:.2f} | {batch:.2f} | {memory:.0f} |")
        large = write_large(Path(folder) / "large.parquet")
        *_, memory = in_a_process(read_all, str(large))
        print(
            f"\nA Parquet file of {large.stat().st_size / 1e6:.0f} MB in one row group, read row by row: "
            f"{memory:.0f} MB more than before"
        )


def in_a_process(function: Callable[[str], Measured], argument: str) -> Measured:
    """Call a function in a new process, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, argument).result()


def write_forms(folder: Path, count: int) -> dict[str, Path]:
    """Write the same photographs as a folder, a list, an archive, a shard, and a Parquet file."""
    names = [f"class{number % CLASSES:02d}/{number:06d}.png" for number in range(count)]
    contents = [png(number) for number in range(64)]
    for number in range(CLASSES):
        (folder / "photos" / f"class{number:02d}").mkdir(parents=True)
    with tarfile.open(folder / "photos.tar", "w") as tar, zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for number, name in enumerate(names):
            content = contents[number % len(contents)]
            (folder / "photos" / name).write_bytes(content)
            archive.writestr(name, content)
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label"])
        writer.writerows((f"photos/{name}", name[:7]) for name in names)
    images = [{"bytes": contents[number % len(contents)], "path": name} for number, name in enumerate(names)]
    pq.write_table(pa.table({"image": images, "label": [name[:7] for name in names]}), folder / "photos.parquet")
    return {
        "folder": folder / "photos",
        "list": folder / "list.csv",
        "zip": folder / "photos.zip",
        "shard": folder / "photos.tar",
        "Parquet": folder / "photos.parquet",
    }


def png(seed: int) -> bytes:
    """Return a small photograph."""
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def write_large(path: Path) -> Path:
    """Write a Parquet file of large pictures in one row group; they do not compress."""
    random = np.random.default_rng(0)
    rows = [random.bytes(1_000_000) for _ in range(LARGE_MEGABYTES)]
    pq.write_table(pa.table({"image": rows}), path, row_group_size=len(rows), compression=None)
    return path


def megabytes() -> float:
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_image_folder(path: str) -> Measured:
    """Measure torchvision's own listing."""
    from torchvision.datasets import ImageFolder

    start = time.perf_counter()
    ImageFolder(path)
    return 0.0, time.perf_counter() - start, 0.0, 0.0


def measure_form(path: str) -> Measured:
    """Return the seconds until a dataset is open, has its fingerprint, and its first batch; and the memory."""
    from shapleycam import Preprocess
    from shapleycam.experiments.datasets.opening import open_dataset
    from shapleycam.experiments.datasets.snapshot import take_snapshot
    from shapleycam.experiments.decoding import decode_image

    preprocess = Preprocess(16, (16, 16), (0.5,) * 3, (0.5,) * 3)
    before, start = megabytes(), time.perf_counter()
    dataset = open_dataset(path)
    opened = time.perf_counter() - start
    snapshot = take_snapshot(dataset)
    printed = time.perf_counter() - start
    for index in range(BATCH):
        assert decode_image(dataset, preprocess, index, snapshot).error is None  # noqa: S101
    return opened, printed, time.perf_counter() - start, megabytes() - before


def read_all(path: str) -> Measured:
    """Return the memory of reading every row of a large Parquet file."""
    from shapleycam.experiments.datasets.byte_sources import LocalFile
    from shapleycam.experiments.datasets.parquet_rows import read_cell

    source = LocalFile(path)
    read_cell(source, "image", 0)
    before = megabytes()
    for row in range(LARGE_MEGABYTES):
        read_cell(source, "image", row)
    return 0.0, 0.0, 0.0, megabytes() - before


if __name__ == "__main__":
    main()
