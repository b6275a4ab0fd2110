/* The worker pool: threads that do what would stall a loop (io_work: decompressing, hashing,
 * opening thousands of files; in the libuv backend also fsyncs and cold sends).
 *
 * One pool serves all backends of the process, made with the first and gone with the last; threads
 * start when a job finds none free, POOL_THREADS_MAX at most. Jobs start in the order they came.
 *
 * A finished job goes to the port it was submitted through: a locked list that belongs to one
 * struct io, whose loop is woken and takes the whole list in one go (pool_port_take). Nothing here
 * calls back on a worker but the job's own run.
 *
 * On close: pool_port_close waits until the port's last job has run; what is then left on the list
 * is still to be taken. */
#ifndef RUNTIME_POOL_H
#define RUNTIME_POOL_H

#include <pthread.h>

#include "base/list.h"
#include "runtime/io.h"

enum { POOL_THREADS_MAX = 8 };

struct pool;
struct pool_port;

/* Lives in the priv of a struct io_op (see pool_job_of). */
struct pool_job {
    struct list node;
    void (*run)(struct pool_job *job); /* on a worker */
    struct pool_port *port;
};

struct pool_port {
    struct pool *pool;
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct list done;     /* jobs that have run */
    unsigned outstanding; /* submitted and not run yet */
    void (*wake)(void *ctx);
    void *ctx;
};

/* wake is called on a worker, when the list of done jobs stops being empty. */
void pool_port_open(struct pool_port *p, void (*wake)(void *ctx), void *ctx);
void pool_port_close(struct pool_port *p);
void pool_port_free(struct pool_port *p); /* after close and the last take */
void pool_submit(struct pool_port *p, struct pool_job *job);
/* Moves all jobs that have run to `out` (a list head, initialised by the call). */
void pool_port_take(struct pool_port *p, struct list *out);

/* A job in an operation: the first four pointers of priv; [4] and [5] are left to the caller. */
_Static_assert(sizeof(struct pool_job) == 4 * sizeof(void *), "a job fills priv[0..3]");
static inline struct pool_job *pool_job_of(struct io_op *op)
{
    return (struct pool_job *)(void *)op->priv;
}
static inline struct io_op *pool_job_op(struct pool_job *job)
{
    return CONTAINER_OF(job, struct io_op, priv);
}
/* io_work of both backends: fn on a worker, op on the port's list when it has run. */
void pool_work_submit(struct pool_port *p, struct io_op *op, void (*fn)(struct io_op *op));

#endif
