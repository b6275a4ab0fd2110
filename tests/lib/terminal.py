"""A tool of ours whose standard error is a terminal, or a pipe: what it shows where somebody looks, and that it is quiet where nobody does.
`with Tool(words, terminal=True) as t:` starts it; until() reads what it says, end() waits for its end."""
import os
import pty
import re
import subprocess

from node import binary


class Tool:
    def __init__(self, words, terminal):
        self.text, self.ours, theirs = '', *(pty.openpty() if terminal else os.pipe())
        self.process = subprocess.Popen([binary(), *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, text=True)
        os.close(theirs)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)

    def until(self, pattern):
        """Reads until it has said that."""
        while not re.search(pattern, self.text):
            data = os.read(self.ours, 4096)
            assert data, self.text
            self.text += data.decode()

    def end(self):
        """Its exit status and output; what it said is read to the end."""
        while True:
            try:
                data = os.read(self.ours, 4096)
            except OSError:  # a terminal that nobody holds
                data = b''
            if not data:
                break
            self.text += data.decode()
        out = self.process.communicate(timeout=60)[0]
        return self.process.returncode, out


# Of moves: how many are left, the bytes that have come, how fast, and how long it takes.
PROGRESS = r'\d+ of \d+ partitions left, [1-9]\d*(\.\d)? [KM]?i?B of \d+\.\d MiB, [1-9]\d*(\.\d)? [KM]?i?B/s, (at least )?\d+ (s|min|h) left'
WIPED = '\r\x1b[K'  # nothing of it is left on the line
