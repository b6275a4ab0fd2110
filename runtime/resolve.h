/* A host name becomes a numeric address for io_connect. Numeric ones and localhost need no asking;
 * for others the system's resolver is asked on the worker pool, since it may block for seconds.
 *
 * Who frees: struct resolve is the caller's and must stay in place until its callback, which comes
 * exactly once, never inside resolve_start, on the shard of the io. There is no cancel: an owner
 * that goes away meanwhile leaves the struct to its callback.
 *
 * Failure modes: ERR_NOTFOUND, no such host or no answer. */
#ifndef RUNTIME_RESOLVE_H
#define RUNTIME_RESOLVE_H

#include "runtime/io.h"

enum { RESOLVE_HOST_MAX = 256, RESOLVE_IP_MAX = 64 };

struct resolve;
typedef void resolve_cb(struct resolve *r, int err);

struct resolve {
    char host[RESOLVE_HOST_MAX];
    char ip[RESOLVE_IP_MAX]; /* the answer */
    resolve_cb *cb;
    void *user; /* the caller's */
    struct io_op op;
    int err;
};

/* True, and ip is filled, if the host needs no asking. */
bool resolve_now(const char *host, char ip[RESOLVE_IP_MAX]);
void resolve_start(struct io *io, struct resolve *r, const char *host, resolve_cb *cb, void *user);

#endif
