/* The libuv backend, for kernels and containers that forbid io_uring. The same contract: libuv's
 * loop (epoll) does the waiting, plain non-blocking calls move the bytes (io_posix.c), and what
 * would stall goes to the worker pool: fsyncs, and cold sends as a sendfile on a worker (the socket
 * is non-blocking, so that waits for the disk only).
 *
 * Polls. uv_poll_t is level-triggered and stays; a change of its events costs a system call.
 * Sockets whose wanted events differ from the registered ones are put on a list and brought in
 * line just before the loop waits. So a connection that arms the same events again from its
 * callback, the usual case, costs no call at all; what is not wanted any more is never called back.
 * Patient sockets lie in a set of their own (io_patient.h), of which libuv knows the descriptor
 * only.
 *
 * On close. The uv handle ends asynchronously, and a worker may be using the descriptor: the socket
 * is shut down at once, descriptor and memory go when both are through. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "runtime/io_backends.h"
#include "runtime/io_patient.h"
#include "runtime/io_posix.h"
#include "runtime/pool.h"

struct uv_sock {
    struct posix_sock p;
    uv_poll_t poll;
    struct list dirty; /* in uv_io.dirty while want and active may differ */
    unsigned want;     /* events the owner waits for; 0: disarmed */
    unsigned active;   /* events that libuv polls */
    bool patient;      /* in the patient set: libuv polls nothing */
    bool closed;       /* io_sock_close was called */
    bool handle_gone;  /* libuv is through with it */
    io_sock_cb *cb;
    void *user;
    /* the cold send in flight */
    struct io_op *cold;
    int file_fd;
    uint64_t off;
    size_t n;
};

struct uv_io {
    struct io base;
    uv_loop_t loop;
    uv_async_t async;
    uv_timer_t timer;
    struct patient_set patient;
    uv_poll_t patient_poll; /* of the set; once it is made */
    bool patient_polled, patient_made;
    struct pool_port port;
    struct list dirty;
    unsigned ops;     /* jobs in flight */
    unsigned zombies; /* closed sockets that are not gone yet */
};

static struct uv_io *uv_of(struct io *io)
{
    return (struct uv_io *)io;
}

static struct uv_sock *sock_of(struct io_sock *s)
{
    return (struct uv_sock *)s;
}

static void on_async(uv_async_t *a)
{
    UNUSED(a);
}

/* uv_run runs due timers before it waits as well: one that falls due there must still end the wait
 * (with uv_stop it is a look without waiting), else nothing would. */
static void on_timer(uv_timer_t *t)
{
    uv_stop(t->loop);
}

static void uvio_wake(struct io *io)
{
    (void)uv_async_send(&uv_of(io)->async);
}

static void wake_from_pool(void *ctx)
{
    uvio_wake(ctx);
}

/* ---- sockets ---- */

static int sock_new(struct uv_io *u, int fd, struct io_sock **out)
{
    struct uv_sock *s = MEM_NEW(struct uv_sock);
    int r = uv_poll_init(&u->loop, &s->poll, fd);
    if (r != 0) {
        close(fd);
        mem_free(s);
        return posix_err(-r);
    }
    s->p.base.io = &u->base;
    s->p.fd = fd;
    s->poll.data = s;
    list_init(&s->dirty);
    *out = &s->p.base;
    return 0;
}

static int uvio_listen(struct io *io, const char *host, uint16_t port, struct io_sock **out)
{
    int fd, err = posix_listen_fd(host, port, &fd);
    return err ? err : sock_new(uv_of(io), fd, out);
}

static int uvio_adopt(struct io *io, int handle, struct io_sock **out)
{
    posix_adopt_fd(handle);
    return sock_new(uv_of(io), handle, out);
}

static int uvio_connect(struct io *io, const char *ip, uint16_t port, struct io_sock **out)
{
    int fd, err = posix_connect_fd(ip, port, &fd);
    return err ? err : sock_new(uv_of(io), fd, out);
}

static void mark_dirty(struct uv_io *u, struct uv_sock *s)
{
    if (list_empty(&s->dirty)) {
        list_push_back(&u->dirty, &s->dirty);
    }
}

static void on_poll(uv_poll_t *poll, int status, int uv_events)
{
    struct uv_sock *s = poll->data;
    unsigned fired;
    if (status < 0) { /* libuv has stopped the poll */
        s->active = 0;
        fired = s->want | IO_HUP;
    } else {
        fired = ((uv_events & UV_READABLE) ? IO_READ : 0u) |
                ((uv_events & UV_WRITABLE) ? IO_WRITE : 0u);
        fired &= s->want;
    }
    mark_dirty(uv_of(s->p.base.io), s);
    if (s->want == 0 || fired == 0) {
        return;
    }
    s->want = 0;
    s->cb(&s->p.base, fired, s->user);
}

/* Brings what libuv polls in line with what is wanted. */
static void sync_polls(struct uv_io *u)
{
    struct list *n;
    while ((n = list_pop_front(&u->dirty)) != NULL) {
        struct uv_sock *s = LIST_ENTRY(n, struct uv_sock, dirty);
        int r = 0;
        unsigned want = s->patient ? 0 : s->want;
        if (want == s->active) {
            continue;
        }
        if (want == 0) {
            r = uv_poll_stop(&s->poll);
        } else {
            int events =
                ((want & IO_READ) ? UV_READABLE : 0) | ((want & IO_WRITE) ? UV_WRITABLE : 0);
            r = uv_poll_start(&s->poll, events, on_poll);
        }
        ASSERT(r == 0); /* it fails only on a closed handle or bad events */
        s->active = want;
    }
}

static void leave_patient(struct uv_io *u, struct uv_sock *s)
{
    patient_remove(&u->patient, &s->p);
    s->patient = false;
}

static void uvio_arm(struct io_sock *sock, unsigned events, io_sock_cb *cb, void *user)
{
    struct uv_sock *s = sock_of(sock);
    struct uv_io *u = uv_of(sock->io);
    bool patient = patient_wanted(sock->io, events);
    events &= ~(unsigned)IO_PATIENT;
    ASSERT(!s->closed && (events & ~(unsigned)(IO_READ | IO_WRITE)) == 0);
    s->want = events;
    s->cb = cb;
    s->user = user;
    if (patient && !s->patient) {
        s->patient = patient_add(&u->patient, &s->p);
    } else if (!patient && s->patient && events != 0) {
        leave_patient(u, s);
    }
    if ((s->patient ? 0 : s->want) != s->active) {
        mark_dirty(u, s);
    }
}

static bool on_patient(struct posix_sock *p, unsigned events)
{
    struct uv_sock *s = sock_of(&p->base);
    s->patient = s->want != 0;
    if (s->patient) {
        s->want = 0;
        s->cb(&p->base, events, s->user);
        return true; /* by now it may be closed */
    }
    return false;
}

static void on_patient_poll(uv_poll_t *poll, int status, int events)
{
    struct uv_io *u = poll->data;
    UNUSED(status);
    UNUSED(events);
    uv_poll_stop(poll);
    u->patient_polled = false;
    patient_stirs(&u->patient);
}

/* The set is at rest: libuv watches it until something comes. */
static void watch_patient(struct uv_io *u)
{
    if (!u->patient_made) {
        int r = uv_poll_init(&u->loop, &u->patient_poll, u->patient.fd);
        ASSERT(r == 0);
        u->patient_poll.data = u;
        u->patient_made = true;
    }
    int r = uv_poll_start(&u->patient_poll, UV_READABLE, on_patient_poll);
    ASSERT(r == 0);
    u->patient_polled = true;
}

static void sock_maybe_free(struct uv_sock *s)
{
    if (s->closed && s->handle_gone && s->cold == NULL) {
        uv_of(s->p.base.io)->zombies--;
        close(s->p.fd);
        mem_free(s);
    }
}

static void on_handle_gone(uv_handle_t *h)
{
    struct uv_sock *s = h->data;
    s->handle_gone = true;
    sock_maybe_free(s);
}

static void uvio_sock_close(struct io_sock *sock)
{
    struct uv_sock *s = sock_of(sock);
    ASSERT(!s->closed);
    s->closed = true;
    uv_of(sock->io)->zombies++;
    if (s->patient) {
        leave_patient(uv_of(sock->io), s);
    }
    list_remove(&s->dirty);
    uv_close((uv_handle_t *)&s->poll, on_handle_gone);
    (void)shutdown(s->p.fd, SHUT_RDWR);
}

/* ---- operations ---- */

static void op_begin(struct uv_io *u, struct io_op *op)
{
    ASSERT(!op->in_flight);
    op->in_flight = true;
    op->result = 0;
    u->ops++;
}

static void op_end(struct uv_io *u, struct io_op *op)
{
    ASSERT(op->in_flight);
    op->in_flight = false;
    u->ops--;
    op->cb(op, op->result);
}

static void uvio_work(struct io *io, struct io_op *op, void (*fn)(struct io_op *op))
{
    op_begin(uv_of(io), op);
    pool_work_submit(&uv_of(io)->port, op, fn);
}

static void run_fsync(struct pool_job *job)
{
    struct io_op *op = pool_job_op(job);
    struct posix_file *f = op->priv[4];
    op->result = fdatasync(f->fd) < 0 ? posix_err(errno) : 0;
}

static void uvio_fsync_start(struct io_file *file, struct io_op *op)
{
    struct uv_io *u = uv_of(file->io);
    struct pool_job *job = pool_job_of(op);
    op_begin(u, op);
    ((struct posix_file *)file)->busy++;
    op->priv[4] = file;
    job->run = run_fsync;
    pool_submit(&u->port, job);
}

static void run_cold(struct pool_job *job)
{
    struct io_op *op = pool_job_op(job);
    struct uv_sock *s = op->priv[4];
    off_t off = (off_t)s->off;
    ssize_t r;
    do {
        r = sendfile(s->p.fd, s->file_fd, &off, s->n);
    } while (r < 0 && errno == EINTR);
    op->result = r < 0 ? posix_err(errno) : r;
}

static void uvio_send_cold(struct io_sock *sock, struct io_file *f, uint64_t off, size_t n,
                           struct io_op *op)
{
    struct uv_io *u = uv_of(sock->io);
    struct uv_sock *s = sock_of(sock);
    struct pool_job *job = pool_job_of(op);
    ASSERT(!s->closed && s->cold == NULL && n > 0);
    op_begin(u, op);
    s->cold = op;
    s->file_fd = posix_file_fd(f);
    s->off = off;
    s->n = n;
    op->priv[4] = s;
    job->run = run_cold;
    pool_submit(&u->port, job);
}

static void finish_jobs(struct uv_io *u)
{
    struct list done, *n;
    pool_port_take(&u->port, &done);
    while ((n = list_pop_front(&done)) != NULL) {
        struct pool_job *job = LIST_ENTRY(n, struct pool_job, node);
        struct io_op *op = pool_job_op(job);
        if (job->run == run_fsync) {
            posix_file_unbusy(op->priv[4]);
        } else if (job->run == run_cold) {
            struct uv_sock *s = op->priv[4];
            s->cold = NULL;
            op->result = s->closed ? ERR_CANCELED : op->result;
            sock_maybe_free(s);
        }
        op_end(u, op);
    }
}

/* ---- the loop ---- */

static void uvio_turn(struct io *io, int64_t timeout_us)
{
    struct uv_io *u = uv_of(io);
    sync_polls(u);
    if (patient_rests(&u->patient) && !u->patient_polled) {
        watch_patient(u);
    }
    timeout_us = patient_wait(&u->patient, timeout_us);
    if (timeout_us > 0) {
        uv_update_time(&u->loop); /* the timer counts from the loop's idea of now */
        int r = uv_timer_start(&u->timer, on_timer, (uint64_t)(timeout_us + 999) / 1000, 0);
        ASSERT(r == 0);
    }
    uv_run(&u->loop, timeout_us == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    if (timeout_us > 0) {
        uv_timer_stop(&u->timer);
    }
    patient_turn(&u->patient, io->patience_us, on_patient);
    finish_jobs(u);
}

/* ---- life ---- */

static void uvio_destroy(struct io *io)
{
    struct uv_io *u = uv_of(io);
    pool_port_close(&u->port);
    while (u->ops > 0 || u->zombies > 0) {
        uvio_turn(io, 10000);
    }
    uv_close((uv_handle_t *)&u->async, NULL);
    uv_close((uv_handle_t *)&u->timer, NULL);
    if (u->patient_made) {
        uv_close((uv_handle_t *)&u->patient_poll, NULL);
    }
    while (uv_run(&u->loop, UV_RUN_NOWAIT) != 0) {
    }
    int r = uv_loop_close(&u->loop);
    ASSERT(r == 0); /* else a socket was left open */
    patient_free(&u->patient);
    pool_port_free(&u->port);
    mem_free(u);
}

static const struct io_ops uvio_ops = {
    .name = "libuv",
    .turn = uvio_turn,
    .wake = uvio_wake,
    .destroy = uvio_destroy,
    .listen = uvio_listen,
    .adopt = uvio_adopt,
    .connect = uvio_connect,
    .arm = uvio_arm,
    .send_cold = uvio_send_cold,
    .sock_close = uvio_sock_close,
    .fsync_start = uvio_fsync_start,
    .work = uvio_work,
    POSIX_OPS_COMMON,
};

int uv_create(struct io **out, struct errmsg *em)
{
    struct uv_io *u = MEM_NEW(struct uv_io);
    int r = uv_loop_init(&u->loop);
    if (r != 0) {
        mem_free(u);
        return errmsg_set(em, posix_err(-r), "libuv's loop could not be made: %s", uv_strerror(r));
    }
    r = uv_async_init(&u->loop, &u->async, on_async);
    if (r != 0) {
        uv_loop_close(&u->loop);
        mem_free(u);
        return errmsg_set(em, posix_err(-r), "libuv's wake-up could not be made: %s",
                          uv_strerror(r));
    }
    (void)uv_timer_init(&u->loop, &u->timer);
    u->base.ops = &uvio_ops;
    patient_init(&u->patient);
    list_init(&u->dirty);
    posix_block_sigpipe();
    pool_port_open(&u->port, wake_from_pool, &u->base);
    *out = &u->base;
    return 0;
}
