"""The fingerprint of files tells when they changed, and opens none."""

import os

from deeplense_registry import files_fingerprint


def test_it_changes_with_names_sizes_and_times(tmp_path):
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    one = folder / "deep" / "one.npy"
    one.write_bytes(b"1234")
    first = files_fingerprint([folder])
    assert files_fingerprint([folder]) == first
    os.utime(one, ns=(1, 1))
    touched = files_fingerprint([folder])
    one.write_bytes(b"12345")
    os.utime(one, ns=(1, 1))
    longer = files_fingerprint([folder])
    (folder / "two.npy").write_bytes(b"")
    assert len({first, touched, longer, files_fingerprint([folder])}) == 4


def test_a_file_counts_alone_and_where_it_lies_does_not(tmp_path):
    prints = []
    for name in "ab":
        file = tmp_path / name / "same.tgz"
        file.parent.mkdir()
        file.write_bytes(b"x")
        os.utime(file, ns=(5, 5))
        prints.append(files_fingerprint([file]))
    assert prints[0] == prints[1]


def test_what_is_absent_counts_by_its_name(tmp_path):
    assert files_fingerprint([tmp_path / "a"]) != files_fingerprint([tmp_path / "b"])
