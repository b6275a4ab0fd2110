/* The file and name half of io_posix.h.
 *
 * Residency (io_resident) is asked of mincore on a read-only mapping of the whole possible file
 * that is never dereferenced: mincore counts only pages that are up to date, where cachestat also
 * counts those still being read and a read with RWF_NOWAIT misses holes in a range. The mapping
 * costs address space and nothing else (no page of it is ever touched), is made at the first
 * question, by whichever shard asks it, and goes with the file. */
#include "runtime/io_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

enum { MINCORE_PAGES = 256, FILE_IOV_MAX = 1024 };

/* Segments are below 2 GiB (segment.bytes is an int32). */
#define MAP_BYTES ((size_t)2 << 30)

static struct posix_file *file_of(struct io_file *f)
{
    return (struct posix_file *)f;
}

static int result(int r)
{
    return r < 0 ? posix_err(errno) : 0;
}

int posix_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    struct posix_file *f;
    int how = O_CLOEXEC | ((flags & IO_OPEN_WRITE) ? O_RDWR : O_RDONLY);
    int fd;
    how |= (flags & IO_OPEN_CREATE) ? O_CREAT : 0;
    how |= (flags & IO_OPEN_EXCL) ? O_EXCL : 0;
    how |= (flags & IO_OPEN_TRUNC) ? O_TRUNC : 0;
    do {
        fd = open(path, how, 0644);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return posix_err(errno);
    }
    f = MEM_NEW(struct posix_file);
    f->base.io = io;
    f->fd = fd;
    *out = &f->base;
    return 0;
}

/* Moves all of iov with `call`, which may do less at a time; a piece that was moved in part is
 * finished with the one-buffer form. Stops at the first error or at 0. */
static int64_t move_all(int fd, const struct iovec *iov, int iovcnt, uint64_t off, bool write)
{
    int64_t done = 0;
    size_t skip = 0; /* bytes of iov[0] that are done */
    while (iovcnt > 0) {
        struct iovec one = {(char *)iov->iov_base + skip, iov->iov_len - skip};
        const struct iovec *v = skip ? &one : iov;
        int cnt = skip ? 1 : iovcnt < FILE_IOV_MAX ? iovcnt : FILE_IOV_MAX;
        off_t at = (off_t)(off + (uint64_t)done);
        ssize_t r = write ? pwritev(fd, v, cnt, at) : preadv(fd, v, cnt, at);
        if (r < 0 && errno == EINTR) {
            continue;
        }
        if (r < 0) {
            return posix_err(errno);
        }
        done += r;
        for (size_t left = (size_t)r; iovcnt > 0; iov++, iovcnt--, skip = 0) {
            if (left < iov->iov_len - skip) {
                skip += left;
                break;
            }
            left -= iov->iov_len - skip;
        }
        if (r == 0 && iovcnt > 0) {
            return write ? ERR_IO : done;
        }
    }
    return done;
}

int64_t posix_preadv(struct io_file *f, const struct iovec *iov, int iovcnt, uint64_t off)
{
    return move_all(posix_file_fd(f), iov, iovcnt, off, false);
}

int64_t posix_pwritev(struct io_file *f, const struct iovec *iov, int iovcnt, uint64_t off)
{
    return move_all(posix_file_fd(f), iov, iovcnt, off, true);
}

int posix_truncate(struct io_file *f, uint64_t size)
{
    return result(ftruncate(posix_file_fd(f), (off_t)size));
}

int posix_allocate(struct io_file *f, uint64_t size)
{
    return result(fallocate(posix_file_fd(f), FALLOC_FL_KEEP_SIZE, 0, (off_t)size));
}

int posix_fsync(struct io_file *f)
{
    return result(fsync(posix_file_fd(f)));
}

void posix_write_behind(struct io_file *f, uint64_t off, uint64_t n)
{
    (void)sync_file_range(posix_file_fd(f), (off_t)off, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

/* The file's mapping, made once; two shards may race to make it. NULL when there is no room. */
static uint8_t *file_map(struct posix_file *f)
{
    uint8_t *map = atomic_load_explicit(&f->map, memory_order_acquire);
    uint8_t *expected = NULL;
    void *p;
    if (map != NULL) {
        return map;
    }
    p = mmap(NULL, MAP_BYTES, PROT_READ, MAP_SHARED | MAP_NORESERVE, f->fd, 0);
    if (p == MAP_FAILED) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong_explicit(&f->map, &expected, p, memory_order_acq_rel,
                                                 memory_order_acquire)) {
        munmap(p, MAP_BYTES);
        return expected;
    }
    return p;
}

bool posix_resident(struct io_file *io_file, uint64_t off, size_t n)
{
    struct posix_file *f = file_of(io_file);
    unsigned char vec[MINCORE_PAGES];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), end = off + n;
    uint64_t at = off & ~(page - 1);
    uint8_t *map;
    if (n == 0) {
        return true;
    }
    if (end > MAP_BYTES || (map = file_map(f)) == NULL) {
        return false;
    }
    while (at < end) {
        size_t pages = (size_t)((end - at + page - 1) / page);
        pages = pages < MINCORE_PAGES ? pages : MINCORE_PAGES;
        if (mincore(map + at, pages * page, vec) < 0) {
            return false;
        }
        for (size_t i = 0; i < pages; i++) {
            if ((vec[i] & 1) == 0) {
                return false;
            }
        }
        at += pages * page;
    }
    return true;
}

int posix_file_size(struct io_file *f, uint64_t *size)
{
    struct stat st;
    if (fstat(posix_file_fd(f), &st) < 0) {
        return posix_err(errno);
    }
    *size = (uint64_t)st.st_size;
    return 0;
}

/* An open-file-description lock: it conflicts with the process-wide record locks of other programs
 * (Java's FileLock is one), and also between two nodes inside one process, and does not vanish when
 * somebody else here closes the same file. */
int posix_lock(struct io_file *f)
{
    struct flock fl = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int r = fcntl(posix_file_fd(f), F_OFD_SETLK, &fl);
    if (r < 0 && (errno == EAGAIN || errno == EACCES)) {
        return ERR_LOCKED;
    }
    return result(r);
}

/* Waits for pages on their way and starts none; an error of writing back, also of an earlier one
 * that no fsync has told of (errseq_t), comes out of it once. */
int posix_lost_writes(struct io_file *f)
{
    return result(sync_file_range(posix_file_fd(f), 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE));
}

void posix_forget(struct io_file *f)
{
    (void)posix_fadvise(posix_file_fd(f), 0, 0, POSIX_FADV_DONTNEED);
}

static void file_free(struct posix_file *f)
{
    uint8_t *map = atomic_load_explicit(&f->map, memory_order_acquire);
    if (map != NULL) {
        munmap(map, MAP_BYTES);
    }
    close(f->fd);
    mem_free(f);
}

void posix_file_close(struct io_file *io_file)
{
    struct posix_file *f = file_of(io_file);
    ASSERT(!f->closed);
    f->closed = true;
    if (f->busy == 0) {
        file_free(f);
    }
}

void posix_file_unbusy(struct posix_file *f)
{
    ASSERT(f->busy > 0);
    if (--f->busy == 0 && f->closed) {
        file_free(f);
    }
}

int posix_stat(struct io *io, const char *path, struct io_stat *out)
{
    struct stat st;
    UNUSED(io);
    if (stat(path, &st) < 0) {
        return posix_err(errno);
    }
    out->size = (uint64_t)st.st_size;
    out->mtime_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    out->is_dir = S_ISDIR(st.st_mode);
    return 0;
}

int posix_rename(struct io *io, const char *from, const char *to)
{
    UNUSED(io);
    return result(rename(from, to));
}

int posix_unlink(struct io *io, const char *path)
{
    UNUSED(io);
    return result(unlink(path));
}

int posix_mkdir(struct io *io, const char *path)
{
    UNUSED(io);
    return result(mkdir(path, 0755));
}

int posix_rmdir(struct io *io, const char *path)
{
    UNUSED(io);
    return result(rmdir(path));
}

static int sync_folder(const char *path, int (*sync)(int fd))
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err;
    if (fd < 0) {
        return posix_err(errno);
    }
    err = result(sync(fd));
    close(fd);
    return err;
}

int posix_fsync_dir(struct io *io, const char *path)
{
    UNUSED(io);
    return sync_folder(path, fsync);
}

int posix_sync_fs(struct io *io, const char *path)
{
    UNUSED(io);
    return sync_folder(path, syncfs);
}

static int not_dots(const struct dirent *d)
{
    return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* Bytes, not the locale's order: the same everywhere. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool dirent_is_dir(const char *dir, const struct dirent *d)
{
    char path[4096];
    struct stat st;
    if (d->d_type != DT_UNKNOWN && d->d_type != DT_LNK) {
        return d->d_type == DT_DIR;
    }
    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, d->d_name) >= sizeof path) {
        return false;
    }
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int posix_list_dir(struct io *io, const char *path,
                   void (*each)(void *ctx, const struct io_dirent *e), void *ctx)
{
    struct dirent **names;
    int n = scandir(path, &names, not_dots, by_name);
    UNUSED(io);
    if (n < 0) {
        return posix_err(errno);
    }
    for (int i = 0; i < n; i++) {
        struct io_dirent e = {names[i]->d_name, dirent_is_dir(path, names[i])};
        each(ctx, &e);
        free(names[i]);
    }
    free(names);
    return 0;
}

int posix_disk_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable)
{
    struct statvfs sv;
    UNUSED(io);
    if (statvfs(path, &sv) < 0) {
        return posix_err(errno);
    }
    *total = (uint64_t)sv.f_blocks * sv.f_frsize;
    *usable = (uint64_t)sv.f_bavail * sv.f_frsize;
    return 0;
}
