/* HTTP/1.1 for operators (health, metrics, the console): the server side, GET and HEAD only, behind
 * one struct of functions. http_mhd.c (libmicrohttpd) is its one backend, in a target of its own:
 * what is linked without it, the simulator for one, has no HTTP, and a node that is given no
 * struct http_ops does without.
 *
 *     listen -> connection -> head is whole -> on_request -> http_answer, now or later -> sent
 *
 * Sockets are accepted, and time is taken, by the shard's struct io. All of it runs on one shard,
 * which is to be none that serves data: an answer is made and sent there, whatever its size.
 *
 * Limits: connections, the bytes of a request's head (431, 414), the time in which a head must be
 * whole (an idle connection is one that has not begun with it), and the time in which an answer
 * must have been taken. A request with a body is refused (400), and one of another method (405).
 *
 * When all connections are taken and one more comes, the oldest idle one is closed for it, else the
 * oldest that takes its answer: nobody keeps others out by holding connections. One whose request
 * the owner has not answered is never closed for another: the owner bounds these (http_waiting).
 *
 * On close: who waits for an answer gets 503, connections close. Requests that the owner has not
 * answered by then stay in place until it does.
 *
 * Shard: the one that listens. */
#ifndef RUNTIME_HTTP_H
#define RUNTIME_HTTP_H

#include "base/buf.h"
#include "runtime/shard.h"

struct http_server;
struct http_ops;

/* One request, from the end of its head until http_answer. */
struct http_request {
    const struct http_ops *ops;
    const char *path; /* decoded, without the query */
    bool head;        /* HEAD: the answer's body is not sent */
    void *user;       /* the owner's */
};

struct http_field { /* a header of an answer */
    const char *name;
    const char *value;
};

struct http_answer {
    int status;
    const char *type;                /* Content-Type */
    const char *cache;               /* Cache-Control; NULL: no-store */
    const struct http_field *fields; /* more headers, fields_n of them */
    size_t fields_n;
    struct buf body;         /* is taken; or, with no data, ... */
    struct bytes still_body; /* ... bytes that outlive the server */
};

struct http_limits {
    unsigned connections;
    size_t head_bytes;
    int64_t head_ms;   /* from the connection's begin, or the last answer's end */
    int64_t answer_ms; /* from the answer on */
};

struct http_handler {
    /* Answer exactly once, now or later, with http_answer. */
    void (*on_request)(void *user, struct http_request *r);
    void *user;
};

struct http_ops {
    int (*listen)(struct shard *sh, const char *host, uint16_t port,
                  const struct http_limits *limits, const struct http_handler *handler,
                  struct http_server **out, struct errmsg *em);
    uint16_t (*port)(const struct http_server *s);    /* bound */
    unsigned (*waiting)(const struct http_server *s); /* requests that the owner has not answered */
    void (*close)(struct http_server *s);
    /* The value of a query argument: "" if it has none, NULL if it is not there. */
    const char *(*query)(const struct http_request *r, const char *name);
    const char *(*header)(const struct http_request *r, const char *name); /* NULL: none */
    void (*answer)(struct http_request *r, struct http_answer *a);
};

extern const struct http_ops http_mhd_ops; /* http_mhd.c, target millrace_http */

static inline const char *http_query(const struct http_request *r, const char *name)
{
    return r->ops->query(r, name);
}
static inline const char *http_header(const struct http_request *r, const char *name)
{
    return r->ops->header(r, name);
}
/* Takes a->body. The request, and what it points to, is gone afterwards. */
static inline void http_answer(struct http_request *r, struct http_answer *a)
{
    r->ops->answer(r, a);
}

#endif
