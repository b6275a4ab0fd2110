"""A small file system of its own for a node: it can be filled, get its space back, or be taken away, and nobody else notices.

    disk = SmallDisk(folder, 6)                                  # MiB, mounted on the folder
    Node(tmp_path, ['log.dirs=%s' % folder], prefix=disk.prefix)   # what starts with the prefix sees it there
    disk.fill(); disk.give_space_back(); disk.take_away(); disk.end()

It is a tmpfs in a mount namespace that a process holds; that process ends with this one, whatever becomes of it. Others see the files by seen()."""
import os
import subprocess

import pytest


class SmallDisk:
    def __init__(self, folder, mib):
        script = 'mount -t tmpfs -o size=%dm tmpfs "$0" && echo mounted && exec cat' % mib
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.holder = subprocess.Popen(['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, self.folder],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if self.holder.stdout.readline() != b'mounted\n':
            self.end()
            pytest.skip('this needs the right to mount a file system in a mount namespace of its own')
        self.prefix = ['nsenter', '-t', str(self.holder.pid), '-m']
        self.filler = self.seen(os.path.join(self.folder, 'filler'))

    def seen(self, path):
        """Where a file below the folder is for who stands outside."""
        return '/proc/%d/root%s' % (self.holder.pid, path)

    def fill(self):
        """Until there is no room for a block."""
        with open(self.filler, 'wb', buffering=0) as f:
            for size in (1 << 20, 4096):
                try:
                    while f.write(b'\0' * size) == size:
                        pass
                except OSError:
                    pass

    def free(self):
        """Bytes."""
        st = os.statvfs(self.seen(self.folder))
        return st.f_bavail * st.f_frsize

    def give_space_back(self):
        os.unlink(self.filler)

    def take_away(self):
        subprocess.run(self.prefix + ['umount', '-l', self.folder], check=True)

    def end(self):
        self.holder.kill()
        self.holder.wait()
