/* Operating errors: what can go wrong although the program is right. A function returns 0 (or a
 * count) or one of these, all negative. Kafka's wire codes are another kind and stand in
 * proto/errors.h; the one mapping between the two is broker/api/errors.c. A sentence for people
 * travels in a struct errmsg next to the code. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

#define ERR_MAP(X)                                           \
    X(ERR_NOMEM, -1, "out of memory")                        \
    X(ERR_AGAIN, -2, "not ready, try again")                 \
    X(ERR_CLOSED, -3, "closed by the peer")                  \
    X(ERR_CANCELED, -4, "canceled")                          \
    X(ERR_INVALID, -5, "invalid argument")                   \
    X(ERR_TRUNCATED, -6, "ends too early")                   \
    X(ERR_CORRUPT, -7, "corrupt data")                       \
    X(ERR_RANGE, -8, "value out of range")                   \
    X(ERR_TOOBIG, -9, "larger than the limit")               \
    X(ERR_UNSUPPORTED, -10, "not supported")                 \
    X(ERR_NOTFOUND, -11, "not found")                        \
    X(ERR_EXISTS, -12, "exists already")                     \
    X(ERR_NOSPACE, -13, "no space left on the disk")         \
    X(ERR_IO, -14, "input/output error")                     \
    X(ERR_PERM, -15, "permission denied")                    \
    X(ERR_MFILE, -16, "too many open files")                 \
    X(ERR_LOCKED, -17, "locked by another process")          \
    X(ERR_INUSE, -18, "address in use")                      \
    X(ERR_REFUSED, -19, "connection refused")                \
    X(ERR_TIMEOUT, -20, "timed out")                         \
    X(ERR_OFFLINE, -21, "log directory is offline")          \
    X(ERR_CONFLICT, -22, "conflicts with the present state") \
    X(ERR_NOTLEADER, -23, "not the leader")

#define ERR_ENUM_(name, code, text) name = code,
enum err { ERR_MAP(ERR_ENUM_) };
#undef ERR_ENUM_

/* The fixed text of an error code; "unknown error" for others. */
const char *err_text(int err);
/* The ERR_ code for a value of errno (positive); ERR_IO where there is no closer one. */
int err_from_errno(int errnum);

/* A sentence for people beside a code: names the setting, file or field, its value, and what is
 * allowed. */
struct errmsg {
    char text[512];
};

/* Formats into em (which may be NULL) and returns err, so that `return errmsg_set(em, ERR_X, ...)`
 * reads well. */
int errmsg_set(struct errmsg *em, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
