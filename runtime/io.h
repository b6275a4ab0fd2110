/* The one I/O seam: all that touches a clock, a disk, a socket, a random source or another thread
 * goes through here.
 *
 * Three backends stand behind struct io_ops: io_uring.c (the fast one), io_uv.c (libuv, where
 * io_uring is forbidden; both share the file and socket calls of io_posix.c), and the simulator's
 * (tests/sim/io_sim.c: virtual time, network and disk from one seed). One struct io belongs to one
 * shard thread; all calls but io_wake are made from that thread.
 *
 * Shape, chosen by measurement (docs/PERFORMANCE.md, "the data path"):
 * - Sockets are a readiness contract. io_sock_arm asks for ONE callback when the socket is readable
 * and/or writable (now or later); the bytes then move by plain non-blocking calls (io_recv,
 * io_sendv, io_sendfile). Not reading, the back-pressure, is not arming.
 * - File calls on hot bytes (io_preadv, io_pwritev into the page cache) are plain calls made in
 * line. What can stall the loop has an operation that completes later: io_fsync_start,
 * io_send_cold, io_work.
 * - A callback never runs inside the call that started it, always from io_turn on the owner's
 * shard, exactly once; after io_sock_close no callback of the socket comes any more (a cold send in
 * flight still completes, with ERR_CANCELED).
 *
 * Refined by the backends' owner:
 * - io_wake from any thread ends the present wait or the next one.
 * - Sockets: an arm with the events of the one before costs nothing; a callback may arm again,
 * close the socket, or do neither. Every event that was armed comes with IO_HUP, so that the next
 * recv or send tells what happened. Close what is open before io_destroy, which then runs the loop
 * until all that was in flight has completed.
 * - Files: an fsync in flight when its file is closed still completes; the descriptor goes after
 * it. The file of a cold send must stay open until the op completes.
 *
 * Patience. An arm of IO_READ | IO_PATIENT says that nobody waits closely for what comes on this
 * socket (heartbeats). Its callback may then be up to patience_us late: while something comes on
 * patient sockets all the time, it is handed out together every patience_us instead of ending the
 * wait each time; what comes after a time of quiet comes at once. Sockets armed without it are
 * served as ever beside that. With patience_us 0, and together with IO_WRITE, it means nothing.
 *
 * Errors are the negative codes of base/err.h. Who frees: sockets by io_sock_close, files by
 * io_file_close; struct io_op is the caller's and must stay in place until its callback. */
#ifndef RUNTIME_IO_H
#define RUNTIME_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

struct io;
struct io_sock; /* a listening or connected stream socket */
struct io_file; /* an open file */
struct io_op;

enum {
    IO_READ = 1,
    IO_WRITE = 2,
    IO_HUP = 4, /* comes by itself with the others when the peer is gone */
    IO_PATIENT = 8,
};

typedef void io_sock_cb(struct io_sock *s, unsigned events, void *user);
/* result: 0 or a count, or ERR_x. */
typedef void io_op_cb(struct io_op *op, int64_t result);

/* One operation in flight; a field of the object that waits for it. */
struct io_op {
    io_op_cb *cb;
    void *user;     /* the caller's */
    void *priv[6];  /* the backend's while in flight */
    int64_t result; /* the backend's */
    bool in_flight; /* between start and callback */
};

struct io_stat {
    uint64_t size;
    int64_t mtime_ms;
    bool is_dir;
};

enum io_open_flags {
    IO_OPEN_READ = 0,
    IO_OPEN_WRITE = 1,  /* read and write */
    IO_OPEN_CREATE = 2, /* with WRITE: made if absent */
    IO_OPEN_EXCL = 4,   /* with CREATE: ERR_EXISTS if there */
    IO_OPEN_TRUNC = 8,
};

struct io_dirent {
    const char *name;
    bool is_dir;
};

enum { IO_KERNEL_ID = 96 }; /* bytes of one, its NUL too */

struct io_ops {
    const char *name; /* "io_uring", "libuv", "sim" */

    /* loop */
    void (*turn)(
        struct io *io,
        int64_t timeout_us);     /* submit, wait at most that long (-1: for ever), run callbacks */
    void (*wake)(struct io *io); /* any thread: ends the wait of a turn */
    void (*destroy)(struct io *io);

    /* time and randomness */
    int64_t (*now_us)(struct io *io);  /* monotonic */
    int64_t (*wall_ms)(struct io *io); /* since 1970 */
    void (*random)(struct io *io, void *out, size_t n);

    /* sockets */
    int (*listen)(struct io *io, const char *host, uint16_t port, struct io_sock **out);
    int (*accept)(struct io_sock *l, int *handle);
    int (*adopt)(struct io *io, int handle, struct io_sock **out);
    int (*connect)(struct io *io, const char *ip, uint16_t port, struct io_sock **out);
    int (*sock_error)(struct io_sock *s);
    uint16_t (*sock_port)(struct io_sock *s);
    void (*sock_peer)(struct io_sock *s, char *out, size_t n);
    void (*arm)(struct io_sock *s, unsigned events, io_sock_cb *cb, void *user);
    int64_t (*recv)(struct io_sock *s, void *p, size_t n);
    int64_t (*sendv)(struct io_sock *s, const struct iovec *iov, int iovcnt, bool more);
    int64_t (*sendfile)(struct io_sock *s, struct io_file *f, uint64_t off, size_t n);
    void (*send_cold)(struct io_sock *s, struct io_file *f, uint64_t off, size_t n,
                      struct io_op *op);
    void (*sock_close)(struct io_sock *s);
    void (*handle_close)(struct io *io, int handle);

    /* files */
    int (*open)(struct io *io, const char *path, unsigned flags, struct io_file **out);
    int64_t (*preadv)(struct io_file *f, const struct iovec *iov, int iovcnt, uint64_t off);
    int64_t (*pwritev)(struct io_file *f, const struct iovec *iov, int iovcnt, uint64_t off);
    int (*truncate)(struct io_file *f, uint64_t size);
    int (*allocate)(struct io_file *f, uint64_t size);
    int (*fsync)(struct io_file *f);
    void (*fsync_start)(struct io_file *f, struct io_op *op);
    void (*write_behind)(struct io_file *f, uint64_t off, uint64_t n);
    bool (*resident)(struct io_file *f, uint64_t off, size_t n);
    int (*file_size)(struct io_file *f, uint64_t *size);
    int (*lock)(struct io_file *f);
    int (*lost_writes)(struct io_file *f);
    void (*forget)(struct io_file *f);
    void (*file_close)(struct io_file *f);

    /* names */
    int (*stat)(struct io *io, const char *path, struct io_stat *out);
    int (*rename)(struct io *io, const char *from, const char *to);
    int (*unlink)(struct io *io, const char *path);
    int (*mkdir)(struct io *io, const char *path);
    int (*rmdir)(struct io *io, const char *path);
    int (*fsync_dir)(struct io *io, const char *path);
    int (*sync_fs)(struct io *io, const char *path);
    int (*list_dir)(struct io *io, const char *path,
                    void (*each)(void *ctx, const struct io_dirent *e), void *ctx);
    int (*disk_space)(struct io *io, const char *path, uint64_t *total, uint64_t *usable);
    int (*kernel_id)(struct io *io, const char *path, char out[IO_KERNEL_ID]);

    /* worker pool */
    void (*work)(struct io *io, struct io_op *op, void (*fn)(struct io_op *op));

    /* may be NULL: io_handle_peer then says "" */
    void (*handle_peer)(struct io *io, int handle, char *out, size_t n);
};

struct io {
    const struct io_ops *ops;
    int64_t patience_us; /* see above; the owner sets it before sockets are there */
};
struct io_sock {
    struct io *io;
};
struct io_file {
    struct io *io;
};

/* ---- creating a backend: runtime/io_probe.c; in the thread that will use it ---- */

enum io_backend { IO_BACKEND_AUTO, IO_BACKEND_URING, IO_BACKEND_UV };

/* Probes once: which backend AUTO means here. why gets a sentence for the start-up line ("io_uring
 * is refused by ...: libuv is used; cold reads go through its thread pool"). ERR_UNSUPPORTED if the
 * wanted one does not work. */
int io_probe(enum io_backend wanted, enum io_backend *chosen, struct errmsg *why);
int io_create(enum io_backend backend, struct io **out, struct errmsg *em);

/* ---- the calls ---- */

static inline void io_turn(struct io *io, int64_t timeout_us)
{
    io->ops->turn(io, timeout_us);
}
static inline void io_wake(struct io *io)
{
    io->ops->wake(io);
}
static inline void io_destroy(struct io *io)
{
    io->ops->destroy(io);
}
static inline int64_t io_now_us(struct io *io)
{
    return io->ops->now_us(io);
}
static inline int64_t io_now_ms(struct io *io)
{
    return io->ops->now_us(io) / 1000;
}
static inline int64_t io_wall_ms(struct io *io)
{
    return io->ops->wall_ms(io);
}
static inline void io_random(struct io *io, void *out, size_t n)
{
    io->ops->random(io, out, n);
}

/* host is an address or a name; "" is every address, IPv6 and IPv4. port 0 lets the system choose
 * (io_sock_port tells). ERR_INUSE, ERR_PERM, ERR_NOTFOUND (no such host). Resolving may block: at
 * start only. */
static inline int io_listen(struct io *io, const char *host, uint16_t port, struct io_sock **out)
{
    return io->ops->listen(io, host, port, out);
}
/* A raw handle that any shard of the node may adopt (io_sock_adopt) or must close
 * (io_handle_close). ERR_AGAIN when none waits, ERR_MFILE when descriptors are used up: pause and
 * arm again later. */
static inline int io_accept(struct io_sock *l, int *handle)
{
    return l->io->ops->accept(l, handle);
}
/* Takes a handle over; on failure it is closed. */
static inline int io_sock_adopt(struct io *io, int handle, struct io_sock **out)
{
    return io->ops->adopt(io, handle, out);
}
/* Starts to connect to a numeric address. Arm IO_WRITE: when it fires, io_sock_error says 0 or why
 * not. */
static inline int io_connect(struct io *io, const char *ip, uint16_t port, struct io_sock **out)
{
    return io->ops->connect(io, ip, port, out);
}
static inline int io_sock_error(struct io_sock *s)
{
    return s->io->ops->sock_error(s);
}
static inline uint16_t io_sock_port(struct io_sock *s) /* local port */
{
    return s->io->ops->sock_port(s);
}
static inline void io_sock_peer(struct io_sock *s, char *out,
                                size_t n) /* numeric address of the peer */
{
    s->io->ops->sock_peer(s, out, n);
}
/* Replaces what was armed before; events 0 disarms. */
static inline void io_sock_arm(struct io_sock *s, unsigned events, io_sock_cb *cb, void *user)
{
    s->io->ops->arm(s, events, cb, user);
}
/* > 0 bytes; 0 end of stream; ERR_AGAIN; ERR_CLOSED ... */
static inline int64_t io_recv(struct io_sock *s, void *p, size_t n)
{
    return s->io->ops->recv(s, p, n);
}
/* Bytes taken (may be short) or ERR_AGAIN, ERR_CLOSED. more: further bytes follow at once
 * (MSG_MORE). */
static inline int64_t io_sendv(struct io_sock *s, const struct iovec *iov, int iovcnt, bool more)
{
    return s->io->ops->sendv(s, iov, iovcnt, more);
}
/* As io_sendv, from a file; 0 means the file ends before off + 1. Blocks on bytes that are not in
 * memory: see io_resident. */
static inline int64_t io_sendfile(struct io_sock *s, struct io_file *f, uint64_t off, size_t n)
{
    return s->io->ops->sendfile(s, f, off, n);
}
/* Sends up to n (<= 1 MiB) bytes that may have to come from the disk, without stalling the loop.
 * Completes with the bytes sent or an error. One at a time per socket; closing the socket first
 * completes it with ERR_CANCELED. It does not wait for the peer: what the socket did not take is
 * left out of the count (ERR_AGAIN if it took nothing; arm IO_WRITE), and is in memory by then. 0
 * means that the file ends before off + 1. */
static inline void io_send_cold(struct io_sock *s, struct io_file *f, uint64_t off, size_t n,
                                struct io_op *op)
{
    s->io->ops->send_cold(s, f, off, n, op);
}
static inline void io_sock_close(struct io_sock *s)
{
    s->io->ops->sock_close(s);
}
static inline void io_handle_close(struct io *io, int handle)
{
    io->ops->handle_close(io, handle);
}
/* Numeric address of an accepted handle's peer; "" if it is not known (any more). */
static inline void io_handle_peer(struct io *io, int handle, char *out, size_t n)
{
    out[0] = '\0';
    if (io->ops->handle_peer != NULL) {
        io->ops->handle_peer(io, handle, out, n);
    }
}

static inline int io_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    return io->ops->open(io, path, flags, out);
}
/* Whole counts unless the file ends (read) or the disk fails (ERR_NOSPACE, ERR_IO; a short write is
 * reported as its error, with the file possibly longer than before: truncate back). May be called
 * by any shard that was handed the file. */
static inline int64_t io_preadv(struct io_file *f, const struct iovec *iov, int iovcnt,
                                uint64_t off)
{
    return f->io->ops->preadv(f, iov, iovcnt, off);
}
static inline int64_t io_pwritev(struct io_file *f, const struct iovec *iov, int iovcnt,
                                 uint64_t off)
{
    return f->io->ops->pwritev(f, iov, iovcnt, off);
}
static inline int64_t io_pread(struct io_file *f, void *p, size_t n, uint64_t off)
{
    struct iovec iov = {p, n};
    return io_preadv(f, &iov, 1, off);
}
static inline int64_t io_pwrite(struct io_file *f, const void *p, size_t n, uint64_t off)
{
    struct iovec iov = {(void *)(uintptr_t)p, n};
    return io_pwritev(f, &iov, 1, off);
}
static inline int io_truncate(struct io_file *f, uint64_t size) /* cuts or grows (sparse, zeros) */
{
    return f->io->ops->truncate(f, size);
}
/* Reserves blocks up to size; the file's size stays. ERR_UNSUPPORTED where the file system cannot.
 */
static inline int io_allocate(struct io_file *f, uint64_t size)
{
    return f->io->ops->allocate(f, size);
}
static inline int io_fsync(struct io_file *f) /* blocks: start, stop and small files only */
{
    return f->io->ops->fsync(f);
}
static inline void io_fsync_start(struct io_file *f,
                                  struct io_op *op) /* data and what is needed to read it back */
{
    f->io->ops->fsync_start(f, op);
}
static inline void io_write_behind(struct io_file *f, uint64_t off,
                                   uint64_t n) /* hint: start writing these to the disk */
{
    f->io->ops->write_behind(f, off, n);
}
static inline bool io_resident(struct io_file *f, uint64_t off,
                               size_t n) /* all in the page cache now? */
{
    return f->io->ops->resident(f, off, n);
}
static inline int io_file_size(struct io_file *f, uint64_t *size)
{
    return f->io->ops->file_size(f, size);
}
/* Exclusive lock (fcntl; conflicts with Java's FileLock), gone when the file is closed. ERR_LOCKED
 * if somebody else has it: another process, or another open of the file in this one. */
static inline int io_lock(struct io_file *f)
{
    return f->io->ops->lock(f);
}
/* Did the kernel fail to bring to the disk what some process, perhaps one that is gone, wrote to
 * this file, without anybody having been told? 0: no, as far as it knows. Opened just now, or
 * what happened before is not seen. Waits for writes to the disk that are under way. */
static inline int io_lost_writes(struct io_file *f)
{
    return f->io->ops->lost_writes(f);
}
/* Where a write was lost the kernel still shows it, as long as it keeps the page: this drops those
 * that it need not write any more, so that reads show what the disk has. What is still to be
 * written stays. */
static inline void io_forget(struct io_file *f)
{
    f->io->ops->forget(f);
}
static inline void io_file_close(struct io_file *f)
{
    f->io->ops->file_close(f);
}

static inline int io_stat(struct io *io, const char *path, struct io_stat *out)
{
    return io->ops->stat(io, path, out);
}
static inline int io_rename(struct io *io, const char *from, const char *to)
{
    return io->ops->rename(io, from, to);
}
static inline int io_unlink(struct io *io, const char *path)
{
    return io->ops->unlink(io, path);
}
static inline int io_mkdir(struct io *io, const char *path)
{
    return io->ops->mkdir(io, path);
}
static inline int io_rmdir(struct io *io, const char *path)
{
    return io->ops->rmdir(io, path);
}
static inline int io_fsync_dir(struct io *io, const char *path)
{
    return io->ops->fsync_dir(io, path);
}
/* Flushes all of the file system that holds the folder, names and bytes: for a great many files at
 * once. Blocks. An error may be of a file that is not ours. */
static inline int io_sync_fs(struct io *io, const char *path)
{
    return io->ops->sync_fs(io, path);
}
/* Calls each() for every name but . and .., sorted by name. */
static inline int io_list_dir(struct io *io, const char *path,
                              void (*each)(void *ctx, const struct io_dirent *e), void *ctx)
{
    return io->ops->list_dir(io, path, each, ctx);
}
static inline int io_disk_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable)
{
    return io->ops->disk_space(io, path, total, usable);
}
/* Names who keeps what was written to the files of the folder and not flushed: the running kernel
 * and this mount of the file system; and the folder. While the name is the same, everything that
 * any process wrote there is still there. ERR_UNSUPPORTED: it is not known. */
static inline int io_kernel_id(struct io *io, const char *path, char out[IO_KERNEL_ID])
{
    return io->ops->kernel_id(io, path, out);
}

/* Runs fn on a worker thread (the simulator: later, on the one thread), then op's callback with
 * op->result on this shard. fn may use the blocking file and name calls of this seam (open, pread,
 * pwrite, fsync, rename, unlink, fsync_dir, list_dir, io_replace_file...) and nothing else of it:
 * storage deletes, flushes folders and writes checkpoints that way. */
static inline void io_work(struct io *io, struct io_op *op, void (*fn)(struct io_op *op))
{
    io->ops->work(io, op, fn);
}

/* Reads a whole small file into out (NUL behind it, not counted). ERR_NOTFOUND, ERR_TOOBIG past
 * max. io_file.c */
struct buf;
int io_read_file(struct io *io, const char *path, size_t max, struct buf *out);
/* Replaces a small file so that a crash leaves the old or the new one: write PATH.tmp, fsync,
 * rename, fsync the folder. */
int io_replace_file(struct io *io, const char *path, const void *p, size_t n);
/* The same without a flush: only the end of the process leaves the old or the new one. */
int io_rewrite_file(struct io *io, const char *path, const void *p, size_t n);

#endif
