/* Who keeps what was written and not flushed (io_kernel_id), on Linux:
 *
 *     BOOT-ID/FS.MOUNT.FOLDER
 *
 *     BOOT-ID   of /proc/sys/kernel/random/boot_id: another one each time that the machine boots;
 *               containers see their machine's
 *     MOUNT     where the file system shows itself in /sys/fs (ext4, xfs, f2fs): the inode of its
 *               folder there, made anew at each mount. Of a tmpfs, which ends with its mount, the
 *               device number
 *     FOLDER    its inode: a copy of it is another one
 *
 * The mount is for disks that were taken away and came back while the machine ran on: what was not
 * on them by then is gone. Of any other file system, and without /proc, nothing is known. */
#include "runtime/io_posix.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"

enum { BOOT_ID = 36, LINK_BYTES = 512, TMPFS = 0x01021994 };

static int read_boot_id(char out[IO_KERNEL_ID])
{
    static_assert(IO_KERNEL_ID > BOOT_ID + 2 + 5 + 2 * 20, "the other parts fit, too");
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return ERR_UNSUPPORTED;
    }
    ssize_t n = read(fd, out, BOOT_ID);
    close(fd);
    out[n > 0 ? n : 0] = '\0';
    bool good = n == BOOT_ID && strspn(out, "0123456789abcdef-") == BOOT_ID;
    return good ? 0 : ERR_UNSUPPORTED;
}

/* The device's name: the last part of where /sys/dev/block/MAJOR:MINOR leads. */
static bool device_name(dev_t dev, char *out, size_t n)
{
    char path[64], to[LINK_BYTES];
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(dev), minor(dev));
    ssize_t len = readlink(path, to, sizeof to - 1);
    if (len <= 0) {
        return false;
    }
    to[len] = '\0';
    const char *slash = strrchr(to, '/');
    return (size_t)snprintf(out, n, "%s", slash ? slash + 1 : to) < n;
}

static bool is_tmpfs(const char *path)
{
    struct statfs fs;
    return statfs(path, &fs) == 0 && fs.f_type == TMPFS;
}

/* Where the device's file system shows itself. NULL: it does not. */
static const char *find_mount(dev_t dev, unsigned long long *number)
{
    static const char *const kinds[] = {"ext4", "xfs", "f2fs"};
    char name[64], shown[128];
    struct stat st;
    if (!device_name(dev, name, sizeof name)) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        snprintf(shown, sizeof shown, "/sys/fs/%s/%s", kinds[i], name);
        if (stat(shown, &st) == 0) {
            *number = st.st_ino;
            return kinds[i];
        }
    }
    return NULL;
}

static int add_mount(const char *path, char out[IO_KERNEL_ID])
{
    struct stat st;
    unsigned long long number;
    if (stat(path, &st) < 0) {
        return ERR_UNSUPPORTED;
    }
    const char *kind = find_mount(st.st_dev, &number);
    if (kind == NULL && is_tmpfs(path)) {
        kind = "tmpfs";
        number = st.st_dev;
    }
    if (kind == NULL) {
        return ERR_UNSUPPORTED;
    }
    size_t len = strlen(out);
    snprintf(out + len, IO_KERNEL_ID - len, "/%s.%llu.%llu", kind, number,
             (unsigned long long)st.st_ino);
    return 0;
}

int posix_kernel_id(struct io *io, const char *path, char out[IO_KERNEL_ID])
{
    UNUSED(io);
    int err = read_boot_id(out);
    return err ? err : add_mount(path, out);
}
