/* Small files read and replaced whole: checkpoints, meta.properties and the like. */
#include <stdio.h>

#include "base/buf.h"
#include "runtime/io.h"

enum { PATH_BYTES = 4096 };

int io_read_file(struct io *io, const char *path, size_t max, struct buf *out)
{
    struct io_file *f;
    uint64_t size;
    int64_t n;
    int err = io_open(io, path, IO_OPEN_READ, &f);
    if (err != 0) {
        return err;
    }
    err = io_file_size(f, &size);
    if (err == 0 && size > max) {
        err = ERR_TOOBIG;
    }
    if (err == 0) {
        buf_reserve(out, (size_t)size + 1);
        n = io_pread(f, out->data + out->len, (size_t)size, 0);
        err = n < 0 ? (int)n : 0;
        out->len += n > 0 ? (size_t)n : 0;
        (void)buf_cstr(out);
    }
    io_file_close(f);
    return err;
}

static int write_new(struct io *io, const char *path, const void *p, size_t n, bool sync)
{
    struct io_file *f;
    int64_t written;
    int err = io_open(io, path, IO_OPEN_WRITE | IO_OPEN_CREATE | IO_OPEN_TRUNC, &f);
    if (err != 0) {
        return err;
    }
    written = n ? io_pwrite(f, p, n, 0) : 0;
    err = written < 0 ? (int)written : sync ? io_fsync(f) : 0;
    io_file_close(f);
    return err;
}

/* PATH is the new file, whole; or as it was. */
static int write_and_rename(struct io *io, const char *path, const void *p, size_t n, bool sync)
{
    char tmp[PATH_BYTES];
    if ((size_t)snprintf(tmp, sizeof tmp, "%s.tmp", path) >= sizeof tmp) {
        return ERR_TOOBIG;
    }
    int err = write_new(io, tmp, p, n, sync);
    if (err == 0) {
        err = io_rename(io, tmp, path);
    }
    if (err != 0) {
        (void)io_unlink(io, tmp);
    }
    return err;
}

int io_rewrite_file(struct io *io, const char *path, const void *p, size_t n)
{
    return write_and_rename(io, path, p, n, false);
}

int io_replace_file(struct io *io, const char *path, const void *p, size_t n)
{
    char dir[PATH_BYTES];
    size_t slash = 0;
    int err = write_and_rename(io, path, p, n, true);
    if (err != 0) {
        return err;
    }
    for (size_t i = 0; path[i] != '\0'; i++) {
        slash = path[i] == '/' ? i : slash;
    }
    if (slash > 0) {
        snprintf(dir, sizeof dir, "%.*s", (int)slash, path);
    } else {
        snprintf(dir, sizeof dir, "%s", path[0] == '/' ? "/" : ".");
    }
    return io_fsync_dir(io, dir);
}
