/* File, name and socket calls that both real backends (io_uring.c, io_uv.c) share: plain system
 * calls made in line, with errno turned into base/err.h's codes. What differs between the two,
 * the waiting, stays in them.
 *
 * A posix_file carries what every backend needs of a file; a posix_sock likewise. Both begin with
 * the seam's struct, so that a pointer to one is a pointer to the other.
 *
 * Files may be read, sent and asked for residency by any shard that was handed them; only the
 * shard that opened one starts fsyncs on it and closes it. */
#ifndef RUNTIME_IO_POSIX_H
#define RUNTIME_IO_POSIX_H

#include <stdatomic.h>

#include "runtime/io.h"

struct posix_file {
    struct io_file base;
    int fd;
    unsigned busy;          /* operations in flight that use fd: it is closed after the last */
    bool closed;            /* io_file_close was called */
    _Atomic(uint8_t *) map; /* read-only mapping for mincore, made at the first question */
};

struct posix_sock {
    struct io_sock base;
    int fd;
};

/* Keeps SIGPIPE away from the calling thread: sendfile and splice have no MSG_NOSIGNAL. */
void posix_block_sigpipe(void);

int64_t posix_now_us(struct io *io);
int64_t posix_wall_ms(struct io *io);
void posix_random(struct io *io, void *out, size_t n);

/* Sockets. The descriptors are non-blocking and close on exec. */
int posix_listen_fd(const char *host, uint16_t port, int *fd);
int posix_accept(struct io_sock *l, int *handle);
int posix_connect_fd(const char *ip, uint16_t port, int *fd);
void posix_adopt_fd(int fd); /* options of a connection: no delay, keep alive */
int posix_sock_error(struct io_sock *s);
uint16_t posix_sock_port(struct io_sock *s);
void posix_sock_peer(struct io_sock *s, char *out, size_t n);
void posix_handle_peer(struct io *io, int handle, char *out, size_t n);
int64_t posix_recv(struct io_sock *s, void *p, size_t n);
int64_t posix_sendv(struct io_sock *s, const struct iovec *iov, int iovcnt, bool more);
int64_t posix_sendfile(struct io_sock *s, struct io_file *f, uint64_t off, size_t n);
void posix_handle_close(struct io *io, int handle);

/* Files. */
int posix_open(struct io *io, const char *path, unsigned flags, struct io_file **out);
int64_t posix_preadv(struct io_file *f, const struct iovec *iov, int iovcnt, uint64_t off);
int64_t posix_pwritev(struct io_file *f, const struct iovec *iov, int iovcnt, uint64_t off);
int posix_truncate(struct io_file *f, uint64_t size);
int posix_allocate(struct io_file *f, uint64_t size);
int posix_fsync(struct io_file *f);
void posix_write_behind(struct io_file *f, uint64_t off, uint64_t n);
bool posix_resident(struct io_file *f, uint64_t off, size_t n);
int posix_file_size(struct io_file *f, uint64_t *size);
int posix_lock(struct io_file *f);
int posix_lost_writes(struct io_file *f);
void posix_forget(struct io_file *f);
void posix_file_close(struct io_file *f); /* at once, or after the last operation in flight */
void posix_file_unbusy(struct posix_file *f);

/* Names. */
int posix_stat(struct io *io, const char *path, struct io_stat *out);
int posix_rename(struct io *io, const char *from, const char *to);
int posix_unlink(struct io *io, const char *path);
int posix_mkdir(struct io *io, const char *path);
int posix_rmdir(struct io *io, const char *path);
int posix_fsync_dir(struct io *io, const char *path);
int posix_sync_fs(struct io *io, const char *path);
int posix_list_dir(struct io *io, const char *path,
                   void (*each)(void *ctx, const struct io_dirent *e), void *ctx);
int posix_disk_space(struct io *io, const char *path, uint64_t *total, uint64_t *usable);
int posix_kernel_id(struct io *io, const char *path,
                    char out[IO_KERNEL_ID]); /* io_posix_kernel.c */

/* err_from_errno, and what only the seam meets: an operation that the file system lacks. */
int posix_err(int errnum);

static inline int posix_file_fd(struct io_file *f)
{
    return ((struct posix_file *)f)->fd;
}

/* The entries of struct io_ops that are the same in both backends. */
#define POSIX_OPS_COMMON                                                                          \
    .now_us = posix_now_us, .wall_ms = posix_wall_ms, .random = posix_random,                     \
    .accept = posix_accept, .sock_error = posix_sock_error, .sock_port = posix_sock_port,         \
    .sock_peer = posix_sock_peer, .handle_peer = posix_handle_peer, .recv = posix_recv,           \
    .sendv = posix_sendv, .sendfile = posix_sendfile, .handle_close = posix_handle_close,         \
    .open = posix_open, .preadv = posix_preadv, .pwritev = posix_pwritev,                         \
    .truncate = posix_truncate, .allocate = posix_allocate, .fsync = posix_fsync,                 \
    .write_behind = posix_write_behind, .resident = posix_resident, .file_size = posix_file_size, \
    .lock = posix_lock, .lost_writes = posix_lost_writes, .forget = posix_forget,                 \
    .file_close = posix_file_close, .stat = posix_stat, .rename = posix_rename,                   \
    .unlink = posix_unlink, .mkdir = posix_mkdir, .rmdir = posix_rmdir,                           \
    .fsync_dir = posix_fsync_dir, .sync_fs = posix_sync_fs, .list_dir = posix_list_dir,           \
    .disk_space = posix_disk_space, .kernel_id = posix_kernel_id

#endif
