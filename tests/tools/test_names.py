"""Names of ours that a linked library has too. The linker says nothing of them: whoever calls the library's function gets ours, or the other way
round, as when both json_null() of a writer of text and of jansson were there."""

import re
import subprocess

from node import binary


def defined(path, *options):
    """The functions and data that a file defines and others can see."""
    out = subprocess.run(["nm", "--defined-only", "--extern-only", *options, path], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in out.splitlines() if len(line.split()) == 3 and line.split()[1] in "TDBRVWi"}


def libraries(path):
    out = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    found = re.findall(r"(\S+) => (/\S+)", out)
    # not the C library: its data lies in the program itself
    return {name: file for name, file in found if not re.match(r"lib(asan|ubsan|tsan|c|m)\.so", name)}


def test_no_name_is_a_librarys_too():
    ours = {name for name in defined(binary()) if not name.startswith("_")}
    libs = libraries(binary())
    assert len(ours) > 1000 and any("jansson" in name for name in libs), (len(ours), libs)
    both = {name: sorted(ours & defined(file, "--dynamic")) for name, file in libs.items()}
    assert not {k: v for k, v in both.items() if v}
