#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

const char *err_text(int err)
{
    switch (err) {
#define ERR_CASE_(name, code, text) \
    case code:                      \
        return text;
        ERR_MAP(ERR_CASE_)
#undef ERR_CASE_
    default:
        return "unknown error";
    }
}

int err_from_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM:
    case ENOBUFS:
        return ERR_NOMEM;
    case EAGAIN:
    case EINTR:
    case EINPROGRESS:
        return ERR_AGAIN;
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
    case ECONNABORTED:
        return ERR_CLOSED;
    case ECANCELED:
        return ERR_CANCELED;
    case EINVAL:
        return ERR_INVALID;
    case ENOENT:
    case ENOTDIR:
        return ERR_NOTFOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return ERR_NOSPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERM;
    case EMFILE:
    case ENFILE:
        return ERR_MFILE;
    case EADDRINUSE:
        return ERR_INUSE;
    case ECONNREFUSED:
        return ERR_REFUSED;
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_TIMEOUT;
    default:
        return ERR_IO;
    }
}

int errmsg_set(struct errmsg *em, int err, const char *fmt, ...)
{
    va_list ap;
    if (em == NULL) {
        return err;
    }
    va_start(ap, fmt);
    vsnprintf(em->text, sizeof em->text, fmt, ap);
    va_end(ap);
    return err;
}
