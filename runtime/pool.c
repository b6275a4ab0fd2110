#include "runtime/pool.h"

#include <signal.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct list queue; /* jobs that no worker has taken yet */
    pthread_t threads[POOL_THREADS_MAX];
    unsigned started;
    unsigned free; /* workers that wait */
    unsigned queued;
    bool stopping;
    unsigned ports; /* under the_lock */
};

/* The process's one pool. */
static pthread_mutex_t the_lock = PTHREAD_MUTEX_INITIALIZER;
static struct pool *the_pool;

static void job_done(struct pool_job *job)
{
    struct pool_port *p = job->port;
    pthread_mutex_lock(&p->lock);
    bool first = list_empty(&p->done);
    list_push_back(&p->done, &job->node);
    if (first) {
        /* under the lock: the port cannot go away meanwhile */
        p->wake(p->ctx);
    }
    if (--p->outstanding == 0) {
        pthread_cond_signal(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
}

static void *worker(void *arg)
{
    struct pool *pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct list *n = list_pop_front(&pool->queue);
        if (n != NULL) {
            struct pool_job *job = LIST_ENTRY(n, struct pool_job, node);
            pool->queued--;
            pthread_mutex_unlock(&pool->lock);
            job->run(job);
            job_done(job);
            pthread_mutex_lock(&pool->lock);
            continue;
        }
        if (pool->stopping) {
            break;
        }
        pool->free++;
        pthread_cond_wait(&pool->work, &pool->lock);
        pool->free--;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Signals are the main thread's business. */
static void start_worker(struct pool *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&pool->threads[pool->started], NULL, worker, pool) == 0) {
        pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    ASSERT(pool->started > 0); /* without a single thread nothing would ever run */
}

static struct pool *pool_get(void)
{
    struct pool *pool;
    pthread_mutex_lock(&the_lock);
    if (the_pool == NULL) {
        the_pool = MEM_NEW(struct pool);
        pthread_mutex_init(&the_pool->lock, NULL);
        pthread_cond_init(&the_pool->work, NULL);
        list_init(&the_pool->queue);
    }
    pool = the_pool;
    pool->ports++;
    pthread_mutex_unlock(&the_lock);
    return pool;
}

static void pool_put(struct pool *pool)
{
    pthread_mutex_lock(&the_lock);
    bool last = --pool->ports == 0;
    if (last) {
        the_pool = NULL;
    }
    pthread_mutex_unlock(&the_lock);
    if (!last) {
        return;
    }
    pthread_mutex_lock(&pool->lock);
    ASSERT(list_empty(&pool->queue));
    pool->stopping = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->started; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    mem_free(pool);
}

void pool_port_open(struct pool_port *p, void (*wake)(void *ctx), void *ctx)
{
    p->pool = pool_get();
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->idle, NULL);
    list_init(&p->done);
    p->outstanding = 0;
    p->wake = wake;
    p->ctx = ctx;
}

void pool_port_close(struct pool_port *p)
{
    pthread_mutex_lock(&p->lock);
    while (p->outstanding > 0) {
        pthread_cond_wait(&p->idle, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

void pool_port_free(struct pool_port *p)
{
    ASSERT(p->outstanding == 0 && list_empty(&p->done));
    pthread_cond_destroy(&p->idle);
    pthread_mutex_destroy(&p->lock);
    pool_put(p->pool);
}

void pool_submit(struct pool_port *p, struct pool_job *job)
{
    struct pool *pool = p->pool;
    job->port = p;
    pthread_mutex_lock(&p->lock);
    p->outstanding++;
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_lock(&pool->lock);
    list_push_back(&pool->queue, &job->node);
    pool->queued++;
    if (pool->free < pool->queued && pool->started < POOL_THREADS_MAX) {
        start_worker(pool);
    }
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

void pool_port_take(struct pool_port *p, struct list *out)
{
    list_init(out);
    pthread_mutex_lock(&p->lock);
    if (!list_empty(&p->done)) {
        list_insert_before(p->done.next, out); /* out takes the head's place */
        list_remove(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
}

static void run_work(struct pool_job *job)
{
    struct io_op *op = pool_job_op(job);
    void (*fn)(struct io_op *);
    memcpy(&fn, &op->priv[4], sizeof fn);
    fn(op);
}

void pool_work_submit(struct pool_port *p, struct io_op *op, void (*fn)(struct io_op *op))
{
    struct pool_job *job = pool_job_of(op);
    memcpy(&op->priv[4], &fn, sizeof fn);
    job->run = run_work;
    pool_submit(p, job);
}
