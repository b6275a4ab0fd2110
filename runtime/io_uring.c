/* The io_uring backend: one ring per shard thread is the event loop. Bytes move by plain
 * non-blocking calls (io_posix.c); the ring carries the waiting and what would stall.
 *
 *   io_sock_arm     one-shot POLL_ADD; for patient ones a POLL_ADD on the set of all (io_patient.h)
 *   io_fsync_start  FSYNC with DATASYNC (the kernel's io-wq threads do it)
 *   io_send_cold    SPLICE file -> pipe (io-wq), then splice(2) pipe -> socket in line
 *   io_work         the worker pool; a finished job wakes the loop
 *   io_wake         a write to an eventfd on which a multishot POLL_ADD lies (costs what MSG_RING
 *                   costs, and may come from any thread)
 *
 * Submissions are gathered and go out with the wait of the next turn.
 *
 * Polls. A socket has at most one live poll. Arming the events that the live poll has costs
 * nothing; disarming leaves it to fire in vain; arming others cancels it and adds a new one, whose
 * completion is told from the old one's by a generation in the top 16 bits of user_data (pointers
 * need 47, their low three bits say what kind of completion it is).
 *
 * Cold sends. At most COLD_MAX at a time, each with a pipe of up to 1 MiB from a pool; the others
 * wait in order. A pipe is held for the disk read only: what the socket does not take at once is
 * thrown away (splice to /dev/null), so a peer that does not read cannot keep a pipe; the bytes are
 * then in the page cache, and the sender comes back for them with io_sendfile.
 *
 * On close. io_sock_close shuts the socket down (a request in flight pins it, so close alone would
 * send no FIN) and cancels its poll; the descriptor and the memory go when the last completion is
 * in, or at once when there is none. The descriptor must not be closed earlier: a submission that
 * is still queued here names it by number. No completion calls back after the close, but a cold
 * send's, with ERR_CANCELED. A poll that is just being woken refuses to be cancelled and may lie
 * down again; an epoll descriptor knows no shutdown: it is cancelled until it ends. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "runtime/io_backends.h"
#include "runtime/io_patient.h"
#include "runtime/io_posix.h"
#include "runtime/pool.h"

enum {
    SQ_ENTRIES = 1024,
    CQ_ENTRIES = 8192,
    TURN_CQES_MAX = 1024, /* completions handled in one turn */
    COLD_MAX = 8,
    PIPE_BYTES = 1 << 20,
};

/* The low bits of user_data: what completed. */
enum { TAG_POLL, TAG_FSYNC, TAG_COLD, TAG_WAKE, TAG_PATIENT, TAG_CLOSE, TAG_NONE, TAG_MASK = 7 };

struct uring_sock {
    struct posix_sock p;
    unsigned want;    /* events the owner waits for; 0: disarmed */
    unsigned polled;  /* events of the live poll; 0: none lives */
    uint16_t gen;     /* of the live poll */
    unsigned flights; /* submissions whose completion is still to come */
    bool patient;     /* in the patient set: no poll lives */
    bool closed;
    io_sock_cb *cb;
    void *user;
    /* the cold send in flight or waiting for a pipe */
    struct io_op *cold;
    struct io_file *cold_file;
    uint64_t cold_off;
    size_t cold_n;
    struct list cold_node; /* in uring.cold_waiting */
    int pipe;              /* index; -1 while it waits for one */
};

struct uring_pipe {
    int rd, wr; /* -1: not made */
    size_t size;
    bool taken;
};

struct uring {
    struct io base;
    struct io_uring ring;
    int wake_fd;
    int null_fd; /* /dev/null, to empty pipes */
    struct pool_port port;
    unsigned ops;     /* fsyncs, cold sends and jobs in flight */
    unsigned zombies; /* closed sockets that still wait for completions */
    struct patient_set patient;
    bool ring_open, wake_armed;
    bool patient_watched; /* a poll lies on the patient set */
    struct uring_pipe pipes[COLD_MAX];
    struct list cold_waiting;
};

static struct uring *uring_of(struct io *io)
{
    return (struct uring *)io;
}

static struct uring_sock *sock_of(struct io_sock *s)
{
    return (struct uring_sock *)s;
}

static struct io_uring_sqe *get_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    while (sqe == NULL) {
        (void)io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static void set_data(struct io_uring_sqe *sqe, void *ptr, uint16_t gen, unsigned tag)
{
    uint64_t p = (uint64_t)(uintptr_t)ptr;
    ASSERT((p & TAG_MASK) == 0 && p >> 48 == 0);
    sqe->user_data = p | tag | (uint64_t)gen << 48;
}

/* ---- waking ---- */

static void arm_wake(struct uring *u)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    io_uring_prep_poll_multishot(sqe, u->wake_fd, POLLIN);
    set_data(sqe, NULL, 0, TAG_WAKE);
    u->wake_armed = true;
}

static void uring_wake(struct io *io)
{
    uint64_t one = 1;
    /* it fails only when 2^64 wakes are waiting: then one is waiting */
    ssize_t r = write(uring_of(io)->wake_fd, &one, sizeof one);
    UNUSED(r);
}

static void wake_from_pool(void *ctx)
{
    uring_wake(ctx);
}

/* ---- sockets ---- */

static int sock_new(struct uring *u, int fd, struct io_sock **out)
{
    struct uring_sock *s = MEM_NEW(struct uring_sock);
    s->p.base.io = &u->base;
    s->p.fd = fd;
    s->pipe = -1;
    list_init(&s->cold_node);
    *out = &s->p.base;
    return 0;
}

static int uring_listen(struct io *io, const char *host, uint16_t port, struct io_sock **out)
{
    int fd, err = posix_listen_fd(host, port, &fd);
    return err ? err : sock_new(uring_of(io), fd, out);
}

static int uring_adopt(struct io *io, int handle, struct io_sock **out)
{
    posix_adopt_fd(handle);
    return sock_new(uring_of(io), handle, out);
}

static int uring_connect(struct io *io, const char *ip, uint16_t port, struct io_sock **out)
{
    int fd, err = posix_connect_fd(ip, port, &fd);
    return err ? err : sock_new(uring_of(io), fd, out);
}

static void sock_free(struct uring_sock *s)
{
    close(s->p.fd);
    mem_free(s);
}

/* One completion of s has come in. False if that was the end of it. */
static bool sock_landed(struct uring *u, struct uring_sock *s)
{
    ASSERT(s->flights > 0);
    s->flights--;
    if (s->closed && s->flights == 0 && s->cold == NULL) {
        u->zombies--;
        sock_free(s);
        return false;
    }
    return !s->closed;
}

static void cancel_poll(struct uring *u, struct uring_sock *s)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    uint64_t target = (uint64_t)(uintptr_t)s | TAG_POLL | (uint64_t)s->gen << 48;
    io_uring_prep_poll_remove(sqe, target);
    set_data(sqe, s->closed ? s : NULL, 0, s->closed ? TAG_CLOSE : TAG_NONE);
    s->flights += s->closed; /* it waits for the answer */
    s->polled = 0;
}

static void add_poll(struct uring *u, struct uring_sock *s)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    unsigned mask = ((s->want & IO_READ) ? POLLIN : 0u) | ((s->want & IO_WRITE) ? POLLOUT : 0u);
    s->gen++;
    s->polled = s->want;
    s->flights++;
    io_uring_prep_poll_add(sqe, s->p.fd, mask);
    set_data(sqe, s, s->gen, TAG_POLL);
}

static void leave_patient(struct uring *u, struct uring_sock *s)
{
    patient_remove(&u->patient, &s->p);
    s->patient = false;
}

static void uring_arm(struct io_sock *sock, unsigned events, io_sock_cb *cb, void *user)
{
    struct uring_sock *s = sock_of(sock);
    struct uring *u = uring_of(sock->io);
    bool patient = patient_wanted(sock->io, events);
    events &= ~(unsigned)IO_PATIENT;
    ASSERT(!s->closed && (events & ~(unsigned)(IO_READ | IO_WRITE)) == 0);
    s->want = events;
    s->cb = cb;
    s->user = user;
    /* a poll that lives is left to fire: only then a socket becomes patient */
    if (events == 0 || (s->polled & events) == events || (patient && s->patient)) {
        return;
    }
    if (s->polled != 0) {
        cancel_poll(u, s);
    }
    if (s->patient) {
        leave_patient(u, s);
    } else if (patient && patient_add(&u->patient, &s->p)) {
        s->patient = true;
        return;
    }
    add_poll(u, s);
}

static bool on_patient(struct posix_sock *p, unsigned events)
{
    struct uring_sock *s = sock_of(&p->base);
    s->patient = s->want != 0;
    if (s->patient) {
        s->want = 0;
        s->cb(&p->base, events, s->user);
        return true; /* by now it may be closed */
    }
    return false;
}

static void watch_patient(struct uring *u)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    io_uring_prep_poll_add(sqe, u->patient.fd, POLLIN);
    set_data(sqe, NULL, 0, TAG_PATIENT);
    u->patient_watched = true;
}

static void on_poll(struct uring *u, struct uring_sock *s, uint16_t gen, int res)
{
    unsigned fired;
    bool live = s->polled != 0 && s->gen == gen;
    if (live) {
        s->polled = 0;
    }
    if (!sock_landed(u, s) || !live || s->want == 0) {
        return;
    }
    if (res < 0) {
        fired = s->want | IO_HUP;
    } else {
        fired = ((res & POLLIN) ? IO_READ : 0u) | ((res & POLLOUT) ? IO_WRITE : 0u);
        fired = (res & (POLLHUP | POLLERR)) ? (s->want | IO_HUP) : (fired & s->want);
    }
    if (fired == 0) { /* what the poll was made for is no longer what the owner waits for */
        add_poll(u, s);
        return;
    }
    s->want = 0;
    s->cb(&s->p.base, fired, s->user);
}

static void on_last_cancel(struct uring *u, struct uring_sock *s, int res)
{
    if (res == -EALREADY && s->flights > 1) {
        cancel_poll(u, s);
    }
    (void)sock_landed(u, s);
}

static void uring_sock_close(struct io_sock *sock)
{
    struct uring_sock *s = sock_of(sock);
    struct uring *u = uring_of(sock->io);
    ASSERT(!s->closed);
    if (s->patient) {
        leave_patient(u, s);
    }
    if (s->flights == 0 && s->cold == NULL) {
        sock_free(s);
        return;
    }
    s->closed = true;
    u->zombies++;
    if (s->polled != 0) {
        cancel_poll(u, s);
    }
    (void)shutdown(s->p.fd, SHUT_RDWR);
}

/* ---- operations ---- */

static void op_begin(struct uring *u, struct io_op *op)
{
    ASSERT(!op->in_flight);
    op->in_flight = true;
    u->ops++;
}

static void op_end(struct uring *u, struct io_op *op, int64_t result)
{
    ASSERT(op->in_flight);
    op->in_flight = false;
    op->result = result;
    u->ops--;
    op->cb(op, result);
}

static void uring_fsync_start(struct io_file *file, struct io_op *op)
{
    struct uring *u = uring_of(file->io);
    struct io_uring_sqe *sqe = get_sqe(u);
    op_begin(u, op);
    ((struct posix_file *)file)->busy++;
    op->priv[0] = file;
    io_uring_prep_fsync(sqe, posix_file_fd(file), IORING_FSYNC_DATASYNC);
    set_data(sqe, op, 0, TAG_FSYNC);
}

static void on_fsync(struct uring *u, struct io_op *op, int res)
{
    posix_file_unbusy(op->priv[0]);
    op_end(u, op, res < 0 ? posix_err(-res) : 0);
}

static void uring_work(struct io *io, struct io_op *op, void (*fn)(struct io_op *op))
{
    struct uring *u = uring_of(io);
    op_begin(u, op);
    op->result = 0;
    pool_work_submit(&u->port, op, fn);
}

static void finish_jobs(struct uring *u)
{
    struct list done, *n;
    pool_port_take(&u->port, &done);
    while ((n = list_pop_front(&done)) != NULL) {
        struct io_op *op = pool_job_op(LIST_ENTRY(n, struct pool_job, node));
        op_end(u, op, op->result);
    }
}

/* ---- cold sends ---- */

/* A free pipe's index, made if need be; -1 when all are taken or there are no descriptors. */
static int pipe_take(struct uring *u)
{
    for (int i = 0; i < COLD_MAX; i++) {
        struct uring_pipe *p = &u->pipes[i];
        int fds[2], size;
        if (p->taken) {
            continue;
        }
        if (p->rd < 0) {
            if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
                return -1;
            }
            p->rd = fds[0];
            p->wr = fds[1];
            (void)fcntl(p->wr, F_SETPIPE_SZ, PIPE_BYTES); /* refused past the user's soft limit */
            size = fcntl(p->wr, F_GETPIPE_SZ);
            p->size = size > 0 ? (size_t)size : 4096;
        }
        p->taken = true;
        return i;
    }
    return -1;
}

static void pipe_close(struct uring_pipe *p)
{
    if (p->rd >= 0) {
        close(p->rd);
        close(p->wr);
    }
    p->rd = p->wr = -1;
}

/* Gives a pipe back that may still hold `left` bytes. */
static void pipe_give(struct uring *u, int index, size_t left)
{
    struct uring_pipe *p = &u->pipes[index];
    while (left > 0) {
        ssize_t r = splice(p->rd, NULL, u->null_fd, NULL, left, SPLICE_F_NONBLOCK);
        if (r <= 0) {
            pipe_close(p);
            break;
        }
        left -= (size_t)r;
    }
    p->taken = false;
}

static void cold_submit(struct uring *u, struct uring_sock *s)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    struct uring_pipe *p = &u->pipes[s->pipe];
    size_t n = s->cold_n < p->size ? s->cold_n : p->size;
    io_uring_prep_splice(sqe, posix_file_fd(s->cold_file), (int64_t)s->cold_off, p->wr, -1,
                         (unsigned)n, 0);
    set_data(sqe, s, 0, TAG_COLD);
    s->flights++;
}

static void cold_complete(struct uring *u, struct uring_sock *s, int64_t result)
{
    struct io_op *op = s->cold;
    bool last = s->closed && s->flights == 0;
    s->cold = NULL;
    if (last) {
        u->zombies--;
        sock_free(s);
    }
    op_end(u, op, result);
}

/* Starts waiting cold sends while there are pipes. */
static void cold_pump(struct uring *u)
{
    while (!list_empty(&u->cold_waiting)) {
        struct uring_sock *s = LIST_ENTRY(u->cold_waiting.next, struct uring_sock, cold_node);
        if (s->closed) {
            list_remove(&s->cold_node);
            cold_complete(u, s, ERR_CANCELED);
            continue;
        }
        s->pipe = pipe_take(u);
        if (s->pipe < 0) {
            break;
        }
        list_remove(&s->cold_node);
        cold_submit(u, s);
    }
}

/* Without a single pipe in use nothing would come back to pump again. */
static bool cold_stuck(const struct uring *u)
{
    if (list_empty(&u->cold_waiting)) {
        return false;
    }
    for (int i = 0; i < COLD_MAX; i++) {
        if (u->pipes[i].taken) {
            return false;
        }
    }
    return true;
}

static void uring_send_cold(struct io_sock *sock, struct io_file *f, uint64_t off, size_t n,
                            struct io_op *op)
{
    struct uring_sock *s = sock_of(sock);
    struct uring *u = uring_of(sock->io);
    ASSERT(!s->closed && s->cold == NULL && n > 0);
    op_begin(u, op);
    s->cold = op;
    s->cold_file = f;
    s->cold_off = off;
    s->cold_n = n;
    list_push_back(&u->cold_waiting, &s->cold_node); /* started by the next turn */
}

/* The bytes are in the pipe: as many as the socket takes now go on, the rest is dropped. */
static void on_cold(struct uring *u, struct uring_sock *s, int res)
{
    int64_t result = res < 0 ? posix_err(-res) : 0;
    size_t left = res > 0 ? (size_t)res : 0;
    int pipe = s->pipe;
    s->flights--;
    s->pipe = -1;
    while (left > 0 && !s->closed) {
        ssize_t r =
            splice(u->pipes[pipe].rd, NULL, s->p.fd, NULL, left, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (r <= 0) {
            result = result > 0 ? result : r < 0 ? posix_err(errno) : ERR_AGAIN;
            break;
        }
        result += r;
        left -= (size_t)r;
    }
    pipe_give(u, pipe, left);
    cold_complete(u, s, s->closed ? ERR_CANCELED : result);
}

/* ---- the loop ---- */

static void handle_cqe(struct uring *u, uint64_t data, int res, unsigned flags)
{
    void *ptr = (void *)(uintptr_t)(data & 0x0000fffffffffff8ull);
    switch (data & TAG_MASK) {
    case TAG_POLL:
        on_poll(u, ptr, (uint16_t)(data >> 48), res);
        break;
    case TAG_FSYNC:
        on_fsync(u, ptr, res);
        break;
    case TAG_COLD:
        on_cold(u, ptr, res);
        break;
    case TAG_WAKE:
        if ((flags & IORING_CQE_F_MORE) == 0) {
            u->wake_armed = false;
        }
        break;
    case TAG_PATIENT:
        u->patient_watched = false;
        patient_stirs(&u->patient);
        break;
    case TAG_CLOSE:
        on_last_cancel(u, ptr, res);
        break;
    default:
        break;
    }
}

static void wait_events(struct uring *u, int64_t timeout_us)
{
    struct __kernel_timespec ts = {timeout_us / 1000000, timeout_us % 1000000 * 1000};
    struct io_uring_cqe *cqe;
    int r;
    /* With completions at hand liburing would only submit, and polls that have fired not end: their
     * cancelling, tried until they do, would keep completions at hand for ever. */
    if (timeout_us == 0 || io_uring_cq_ready(&u->ring) > 0) {
        r = io_uring_submit_and_get_events(&u->ring);
    } else {
        r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, timeout_us < 0 ? NULL : &ts, NULL);
    }
    /* EBUSY and EAGAIN: completions wait to be taken, or the kernel is short of memory for the
     * moment; what was not submitted stays queued */
    ASSERT(r >= 0 || r == -ETIME || r == -EINTR || r == -EBUSY || r == -EAGAIN || r == -ENOMEM);
}

static void uring_turn(struct io *io, int64_t timeout_us)
{
    struct uring *u = uring_of(io);
    struct io_uring_cqe *cqe;
    cold_pump(u);
    if (!u->wake_armed) {
        arm_wake(u);
    }
    if (cold_stuck(u) && (timeout_us < 0 || timeout_us > 10000)) {
        timeout_us = 10000; /* no descriptors for a pipe: try again soon */
    }
    if (patient_rests(&u->patient) && !u->patient_watched) {
        watch_patient(u);
    }
    wait_events(u, patient_wait(&u->patient, timeout_us));
    for (unsigned i = 0; i < TURN_CQES_MAX && io_uring_peek_cqe(&u->ring, &cqe) == 0; i++) {
        uint64_t data = cqe->user_data;
        int res = cqe->res;
        unsigned flags = cqe->flags;
        io_uring_cqe_seen(&u->ring, cqe);
        handle_cqe(u, data, res, flags);
    }
    patient_turn(&u->patient, io->patience_us, on_patient);
    finish_jobs(u);
}

/* ---- life ---- */

/* Rings are mapped and unmapped one at a time. It costs nothing, and the thread sanitizer, which
 * does not see the system calls inside liburing, so learns that a ring at the address of an earlier
 * one has nothing to do with it. */
static pthread_mutex_t ring_lock = PTHREAD_MUTEX_INITIALIZER;

static int ring_init(struct io_uring *ring, unsigned entries, struct io_uring_params *p)
{
    pthread_mutex_lock(&ring_lock);
    int r = io_uring_queue_init_params(entries, ring, p);
    pthread_mutex_unlock(&ring_lock);
    return r;
}

static void ring_exit(struct io_uring *ring)
{
    pthread_mutex_lock(&ring_lock);
    io_uring_queue_exit(ring);
    pthread_mutex_unlock(&ring_lock);
}

static void uring_destroy(struct io *io)
{
    struct uring *u = uring_of(io);
    if (u->ring_open) {
        pool_port_close(&u->port);
        while (u->ops > 0 || u->zombies > 0) {
            uring_turn(io, 10000);
        }
        ring_exit(&u->ring);
        pool_port_free(&u->port);
    }
    patient_free(&u->patient);
    for (int i = 0; i < COLD_MAX; i++) {
        pipe_close(&u->pipes[i]);
    }
    if (u->wake_fd >= 0) {
        close(u->wake_fd);
    }
    if (u->null_fd >= 0) {
        close(u->null_fd);
    }
    mem_free(u);
}

static const struct io_ops uring_ops = {
    .name = "io_uring",
    .turn = uring_turn,
    .wake = uring_wake,
    .destroy = uring_destroy,
    .listen = uring_listen,
    .adopt = uring_adopt,
    .connect = uring_connect,
    .arm = uring_arm,
    .send_cold = uring_send_cold,
    .sock_close = uring_sock_close,
    .fsync_start = uring_fsync_start,
    .work = uring_work,
    POSIX_OPS_COMMON,
};

/* The cheapest kind of ring that this kernel gives: completions run when the loop asks for them
 * (6.1); else without a signal to the thread (5.19); else plain. */
static int ring_setup(struct io_uring *ring, unsigned entries, unsigned cq, const char **how)
{
    static const struct {
        unsigned flags;
        const char *name;
    } kinds[] = {
        {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, "deferred completions"},
        {IORING_SETUP_COOP_TASKRUN, "cooperative completions"},
        {0, "plain"},
    };
    int r = -ENOSYS;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct io_uring_params p = {0};
        p.flags = kinds[i].flags | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
        p.cq_entries = cq;
        r = ring_init(ring, entries, &p);
        if (r == 0) {
            *how = kinds[i].name;
            /* without these the waits of liburing would need a second submission each, and
             * completions could be dropped: kernels before 5.11 */
            if ((p.features & IORING_FEAT_EXT_ARG) && (p.features & IORING_FEAT_NODROP)) {
                return 0;
            }
            ring_exit(ring);
            return -EOPNOTSUPP;
        }
        if (r != -EINVAL) {
            break;
        }
    }
    return r;
}

int uring_create(struct io **out, struct errmsg *em)
{
    struct uring *u = MEM_NEW(struct uring);
    const char *how;
    int r;
    u->base.ops = &uring_ops;
    patient_init(&u->patient);
    list_init(&u->cold_waiting);
    for (int i = 0; i < COLD_MAX; i++) {
        u->pipes[i].rd = u->pipes[i].wr = -1;
    }
    u->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    u->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (u->wake_fd < 0 || u->null_fd < 0) {
        r = -errno;
        goto err;
    }
    r = ring_setup(&u->ring, SQ_ENTRIES, CQ_ENTRIES, &how);
    if (r < 0) {
        goto err;
    }
    u->ring_open = true;
    (void)io_uring_register_ring_fd(&u->ring); /* saves a lookup per turn; older kernels lack it */
    posix_block_sigpipe();
    pool_port_open(&u->port, wake_from_pool, &u->base);
    arm_wake(u);
    *out = &u->base;
    return 0;
err:
    uring_destroy(&u->base);
    return errmsg_set(em, posix_err(-r), "an io_uring could not be made: %s", strerror(-r));
}

/* Waits for one completion for at most a second. */
static int probe_wait(struct io_uring *ring, int *res)
{
    struct __kernel_timespec ts = {1, 0};
    struct io_uring_cqe *cqe = NULL;
    int r = io_uring_submit_and_wait_timeout(ring, &cqe, 1, &ts, NULL);
    if (r < 0 || cqe == NULL) {
        return r < 0 ? r : -ETIME;
    }
    *res = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return 0;
}

static int probe_poll(struct io_uring *ring, struct errmsg *why)
{
    int fd = eventfd(1, EFD_CLOEXEC), res = 0, r;
    if (fd < 0) {
        return errmsg_set(why, ERR_UNSUPPORTED, "eventfd: %s", strerror(errno));
    }
    io_uring_prep_poll_add(io_uring_get_sqe(ring), fd, POLLIN);
    r = probe_wait(ring, &res);
    close(fd);
    if (r < 0 || res < 0) {
        return errmsg_set(why, ERR_UNSUPPORTED, "io_uring is there but polls fail: %s",
                          strerror(r < 0 ? -r : -res));
    }
    return 0;
}

static int probe_splice(struct io_uring *ring, struct errmsg *why)
{
    int fds[2] = {-1, -1}, src, res = 0, r = 0;
    src = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (src < 0 || pipe2(fds, O_CLOEXEC) < 0) {
        res = -errno;
    } else {
        io_uring_prep_splice(io_uring_get_sqe(ring), src, 0, fds[1], -1, 16, 0);
        r = probe_wait(ring, &res);
    }
    if (fds[0] >= 0) {
        close(fds[0]);
        close(fds[1]);
    }
    if (src >= 0) {
        close(src);
    }
    if (r < 0 || res <= 0) {
        return errmsg_set(why, ERR_UNSUPPORTED, "io_uring is there but splices fail: %s",
                          strerror(r < 0 ? -r : -res));
    }
    return 0;
}

int uring_probe(struct errmsg *why, const char **how)
{
    struct io_uring ring;
    int r = ring_setup(&ring, 4, 8, how);
    if (r == -EPERM || r == -EACCES) {
        return errmsg_set(why, ERR_UNSUPPORTED,
                          "io_uring is refused here (%s: a seccomp filter or "
                          "kernel.io_uring_disabled)",
                          strerror(-r));
    }
    if (r < 0) {
        return errmsg_set(why, ERR_UNSUPPORTED, "io_uring does not work here (%s)",
                          r == -ENOSYS       ? "this kernel has none"
                          : r == -EOPNOTSUPP ? "this kernel's is too old: 5.11 is needed"
                                             : strerror(-r));
    }
    r = probe_poll(&ring, why);
    if (r == 0) {
        r = probe_splice(&ring, why);
    }
    ring_exit(&ring);
    return r;
}
