/* The ways by which bytes of a segment can move, beside each other: what io_uring offers for
 * segment I/O (linked splice, registered buffers, zero-copy send, a flush linked to its write) and
 * the plain calls that runtime/io_posix*.c make for hot bytes. docs/PERFORMANCE.md ("the data
 * path") has the figures and what follows from them.
 *
 *   fetch    a file in the page cache goes to one loopback connection, in pieces
 *   append   pieces are appended to a file, not flushed
 *   flushed  each piece is flushed before the next one is written (a producer with acks that waits)
 *
 * Every cell is a process of its own, so that getrusage has all of its CPU, the kernel's io-wq
 * threads included. Ways take turns, round after round; medians are shown. "x" is the ratio of CPU
 * to the first way, which is what Millrace does.
 *
 * Usage: io_bench [folder, default /tmp] [rounds, default 5] [fetch|append|flushed] */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"

enum { ROUNDS_MAX = 99, FILE_BYTES = 64 << 20, WAYS_MAX = 5, PIECE_MAX = 1 << 20 };

struct bench {
    struct io_uring ring;
    int file, sock, pipe[2];
    uint8_t *buf; /* PIECE_MAX; registered as buffer 0 */
    size_t moved[2];
};

struct way {
    const char *name;
    void (*piece)(struct bench *b, size_t n, uint64_t off); /* moves n bytes, whole */
};

struct group {
    const char *name;
    bool is_fetch;
    size_t total[3]; /* bytes moved per cell, by size of piece */
    const struct way *ways;
    size_t n;
};

struct result {
    double cpu, wall;
};

static const size_t pieces[] = {4096, 65536, PIECE_MAX};
static const char *const piece_names[] = {"4 KiB", "64 KiB", "1 MiB"};
static char path[4096];

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "io_bench: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

/* Submits what is queued and takes `n` completions: b->moved by user_data. */
static void ring_run(struct bench *b, unsigned n)
{
    b->moved[0] = b->moved[1] = 0;
    must(io_uring_submit_and_wait(&b->ring, n) >= 0, "io_uring_enter");
    while (n > 0) {
        struct io_uring_cqe *cqe;
        must(io_uring_wait_cqe(&b->ring, &cqe) == 0, "completion");
        if (cqe->res < 0 && cqe->res != -ECANCELED) { /* canceled: the one before was short */
            errno = -cqe->res;
            must(false, "operation");
        }
        if (cqe->res > 0 && !(cqe->flags & IORING_CQE_F_NOTIF)) {
            b->moved[cqe->user_data] = (size_t)cqe->res;
        }
        n -= !(cqe->flags & IORING_CQE_F_MORE);
        io_uring_cqe_seen(&b->ring, cqe);
    }
}

static void send_all(struct bench *b, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t r = send(b->sock, b->buf + done, n - done, MSG_NOSIGNAL);
        must(r > 0, "send");
        done += (size_t)r;
    }
}

/* ---- fetch ---- */

static void fetch_sendfile(struct bench *b, size_t n, uint64_t off)
{
    off_t at = (off_t)off;
    while (n > 0) {
        ssize_t r = sendfile(b->sock, b->file, &at, n);
        must(r > 0, "sendfile");
        n -= (size_t)r;
    }
}

static void fetch_read(struct bench *b, size_t n, uint64_t off)
{
    must(pread(b->file, b->buf, n, (off_t)off) == (ssize_t)n, "pread");
    send_all(b, n);
}

/* Linked: file -> pipe -> socket. What a short one leaves in the pipe follows by a plain call. */
static void fetch_splice(struct bench *b, size_t n, uint64_t off)
{
    while (n > 0) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
        size_t in, out;
        io_uring_prep_splice(sqe, b->file, (int64_t)off, b->pipe[1], -1, (unsigned)n, 0);
        sqe->flags |= IOSQE_IO_LINK;
        sqe->user_data = 0;
        sqe = io_uring_get_sqe(&b->ring);
        io_uring_prep_splice(sqe, b->pipe[0], -1, b->sock, -1, (unsigned)n, 0);
        sqe->user_data = 1;
        ring_run(b, 2);
        in = b->moved[0];
        for (out = b->moved[1]; out < in;) {
            ssize_t r = splice(b->pipe[0], NULL, b->sock, NULL, in - out, SPLICE_F_MOVE);
            must(r > 0, "splice");
            out += (size_t)r;
        }
        off += in;
        n -= in;
    }
}

static void read_fixed(struct bench *b, size_t n, uint64_t off)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
    io_uring_prep_read_fixed(sqe, b->file, b->buf, (unsigned)n, off, 0);
    sqe->user_data = 1;
    ring_run(b, 1);
    must(b->moved[1] == n, "short read");
}

static void fetch_fixed(struct bench *b, size_t n, uint64_t off)
{
    read_fixed(b, n, off);
    send_all(b, n);
}

static void fetch_zero_copy(struct bench *b, size_t n, uint64_t off)
{
    read_fixed(b, n, off);
    for (size_t done = 0; done < n;) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
        io_uring_prep_send_zc_fixed(sqe, b->sock, b->buf + done, n - done, MSG_WAITALL, 0, 0);
        sqe->user_data = 1;
        ring_run(b, 1);
        done += b->moved[1];
    }
}

/* ---- append ---- */

static void append_plain(struct bench *b, size_t n, uint64_t off)
{
    must(pwrite(b->file, b->buf, n, (off_t)off) == (ssize_t)n, "pwrite");
}

static void ring_write(struct bench *b, size_t n, uint64_t off, bool fixed, bool flush)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
    if (fixed) {
        io_uring_prep_write_fixed(sqe, b->file, b->buf, (unsigned)n, off, 0);
    } else {
        io_uring_prep_write(sqe, b->file, b->buf, (unsigned)n, off);
    }
    sqe->user_data = 1;
    if (flush) {
        sqe->flags |= IOSQE_IO_LINK;
        sqe = io_uring_get_sqe(&b->ring);
        io_uring_prep_fsync(sqe, b->file, IORING_FSYNC_DATASYNC);
        sqe->user_data = 0;
    }
    ring_run(b, flush ? 2 : 1);
    must(b->moved[1] == n, "short write");
}

static void append_ring(struct bench *b, size_t n, uint64_t off)
{
    ring_write(b, n, off, false, false);
}

static void append_fixed(struct bench *b, size_t n, uint64_t off)
{
    ring_write(b, n, off, true, false);
}

/* What Millrace does: the write in line, the flush by the ring, which stalls nobody. */
static void flushed_plain(struct bench *b, size_t n, uint64_t off)
{
    struct io_uring_sqe *sqe;
    append_plain(b, n, off);
    sqe = io_uring_get_sqe(&b->ring);
    io_uring_prep_fsync(sqe, b->file, IORING_FSYNC_DATASYNC);
    sqe->user_data = 0;
    ring_run(b, 1);
}

static void flushed_linked(struct bench *b, size_t n, uint64_t off)
{
    ring_write(b, n, off, false, true);
}

static void flushed_fixed(struct bench *b, size_t n, uint64_t off)
{
    ring_write(b, n, off, true, true);
}

static const struct way fetch_ways[] = {
    {"sendfile", fetch_sendfile},
    {"pread and send", fetch_read},
    {"linked SPLICEs", fetch_splice},
    {"READ_FIXED, then send", fetch_fixed},
    {"READ_FIXED, then SEND_ZC", fetch_zero_copy},
};
static const struct way append_ways[] = {
    {"pwrite", append_plain},
    {"WRITE", append_ring},
    {"WRITE_FIXED", append_fixed},
};
static const struct way flushed_ways[] = {
    {"pwrite, then FSYNC", flushed_plain},
    {"WRITE linked to FSYNC", flushed_linked},
    {"WRITE_FIXED linked to FSYNC", flushed_fixed},
};
static const struct group groups[] = {
    {"fetch", true, {64 << 20, 512 << 20, 1 << 30}, fetch_ways, ARRAY_LEN(fetch_ways)},
    {"append", false, {32 << 20, 64 << 20, 64 << 20}, append_ways, ARRAY_LEN(append_ways)},
    {"flushed", false, {1 << 20, 16 << 20, 64 << 20}, flushed_ways, ARRAY_LEN(flushed_ways)},
};

/* ---- one cell ---- */

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static struct result measure(struct bench *b, const struct way *w, size_t piece, size_t total)
{
    struct rusage r0, r1;
    struct timespec t0, t1;
    uint64_t off = 0;
    w->piece(b, piece, 0); /* warm */
    getrusage(RUSAGE_SELF, &r0);
    clock_gettime(CLOCK_MONOTONIC, &t0);
    for (size_t done = 0; done < total; done += piece) {
        w->piece(b, piece, off);
        off = off + 2 * piece > FILE_BYTES ? 0 : off + piece;
    }
    clock_gettime(CLOCK_MONOTONIC, &t1);
    getrusage(RUSAGE_SELF, &r1);
    return (struct result){
        seconds(r1.ru_utime) + seconds(r1.ru_stime) - seconds(r0.ru_utime) - seconds(r0.ru_stime),
        (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9};
}

/* Two ends of a TCP connection over loopback. */
static void connected(int ends[2])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM, 0);
    must(l >= 0 && bind(l, (struct sockaddr *)&a, sizeof a) == 0 && listen(l, 1) == 0, "listen");
    must(getsockname(l, (struct sockaddr *)&a, &len) == 0, "getsockname");
    ends[0] = socket(AF_INET, SOCK_STREAM, 0);
    must(ends[0] >= 0 && connect(ends[0], (struct sockaddr *)&a, sizeof a) == 0, "connect");
    ends[1] = accept(l, NULL, NULL);
    must(ends[1] >= 0, "accept");
    close(l);
}

static void child(const struct group *g, const struct way *w, size_t piece, size_t total, int sock,
                  int out)
{
    struct bench b = {.sock = sock};
    struct iovec iov = {NULL, PIECE_MAX};
    struct result r;
    must(posix_memalign((void **)&b.buf, 4096, PIECE_MAX) == 0, "memory");
    memset(b.buf, 'x', PIECE_MAX);
    iov.iov_base = b.buf;
    b.file = open(path, g->is_fetch ? O_RDONLY : O_RDWR | O_CREAT | O_TRUNC, 0600);
    must(b.file >= 0, path);
    must(io_uring_queue_init(8, &b.ring, 0) == 0, "io_uring");
    must(io_uring_register_buffers(&b.ring, &iov, 1) == 0, "registered buffers");
    must(pipe(b.pipe) == 0, "pipe");
    (void)fcntl(b.pipe[1], F_SETPIPE_SZ, PIECE_MAX);
    r = measure(&b, w, piece, total);
    must(write(out, &r, sizeof r) == (ssize_t)sizeof r, "result");
    _exit(0);
}

static struct result run_cell(const struct group *g, const struct way *w, size_t i)
{
    static uint8_t sink[1 << 20];
    struct result r;
    int ends[2], fds[2], status;
    pid_t pid;
    connected(ends);
    must(pipe(fds) == 0, "pipe");
    pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        close(ends[0]);
        child(g, w, pieces[i], g->total[i], ends[1], fds[1]);
    }
    close(ends[1]);
    close(fds[1]);
    while (recv(ends[0], sink, sizeof sink, 0) > 0) {
    }
    must(read(fds[0], &r, sizeof r) == (ssize_t)sizeof r, "result");
    must(waitpid(pid, &status, 0) == pid && status == 0, "child");
    close(fds[0]);
    close(ends[0]);
    return r;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static void run_group(const struct group *g, size_t i, unsigned rounds)
{
    static double cpu[WAYS_MAX][ROUNDS_MAX], wall[WAYS_MAX][ROUNDS_MAX];
    double gb = (double)g->total[i] / 1e9, first = 0;
    for (unsigned r = 0; r < rounds; r++) {
        for (size_t k = 0; k < g->n; k++) {
            size_t w = r % 2 == 0 ? k : g->n - 1 - k;
            struct result got = run_cell(g, &g->ways[w], i);
            cpu[w][r] = got.cpu / gb;
            wall[w][r] = got.wall / gb;
        }
    }
    for (size_t w = 0; w < g->n; w++) {
        double c = median(cpu[w], rounds), us = median(wall[w], rounds) * (double)pieces[i] / 1e3;
        first = w == 0 ? c : first;
        printf("%-8s %-7s %-28s %8.3f s/GB  x%-6.2f %10.1f us each\n", g->name, piece_names[i],
               g->ways[w].name, c, c / first, us);
    }
    fflush(stdout);
}

static void make_file(void)
{
    static uint8_t block[1 << 20];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0, path);
    for (size_t n = 0; n < FILE_BYTES; n += sizeof block) {
        must(write(fd, block, sizeof block) == (ssize_t)sizeof block, "write");
    }
    must(fsync(fd) == 0, "fsync");
    close(fd);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "/tmp";
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
    must(rounds >= 1 && rounds <= ROUNDS_MAX, "rounds");
    for (size_t g = 0; g < ARRAY_LEN(groups); g++) {
        bool wanted = argc <= 3 || strcmp(argv[3], groups[g].name) == 0;
        for (size_t i = 0; wanted && i < ARRAY_LEN(pieces); i++) {
            snprintf(path, sizeof path, "%s/io_bench.%d", folder, (int)getpid());
            if (groups[g].is_fetch && i == 0) {
                make_file();
            }
            run_group(&groups[g], i, rounds);
        }
    }
    unlink(path);
    return 0;
}
