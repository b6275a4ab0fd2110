/* Which backend works here, and making one. io_uring is wanted: it reads cold segments without
 * stalling the loop. Where the kernel or a container's seccomp filter forbids it, libuv's loop
 * (epoll) does the same on threads. The probe does not read version numbers: it makes a ring, polls
 * and splices. */
#include "base/assert.h"
#include "runtime/io_backends.h"
#include "runtime/io_posix.h"

int io_probe(enum io_backend wanted, enum io_backend *chosen, struct errmsg *why)
{
    struct errmsg reason = {""};
    const char *how = "";
    int err;
    if (wanted == IO_BACKEND_UV) {
        *chosen = IO_BACKEND_UV;
        errmsg_set(why, 0,
                   "libuv is used, as configured: cold reads and flushes go through "
                   "threads");
        return 0;
    }
    err = uring_probe(&reason, &how);
    if (err == 0) {
        *chosen = IO_BACKEND_URING;
        errmsg_set(why, 0, "io_uring is used (%s)", how);
        return 0;
    }
    if (wanted == IO_BACKEND_URING) {
        return errmsg_set(why, ERR_UNSUPPORTED, "%s, and io.backend=io_uring allows no other",
                          reason.text);
    }
    *chosen = IO_BACKEND_UV;
    errmsg_set(why, 0, "%s: libuv is used; cold reads and flushes go through threads", reason.text);
    return 0;
}

int io_create(enum io_backend backend, struct io **out, struct errmsg *em)
{
    struct errmsg why;
    if (backend == IO_BACKEND_AUTO) {
        int err = io_probe(IO_BACKEND_AUTO, &backend, &why);
        if (err != 0) {
            return errmsg_set(em, err, "%s", why.text);
        }
    }
    return backend == IO_BACKEND_URING ? uring_create(out, em) : uv_create(out, em);
}
