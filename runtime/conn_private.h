/* What the files of a connection share: conn.c (life, order, answers from the owner), conn_read.c
 * (bytes to frames, the budget), conn_write.c (answers to bytes), conn_shard.c (what a shard keeps
 * for its connections: the work at the end of a turn, time-outs). */
#ifndef RUNTIME_CONN_PRIVATE_H
#define RUNTIME_CONN_PRIVATE_H

#include "base/logger.h"
#include "runtime/conn.h"
#include "runtime/frame_pool.h"

enum {
    CONN_SCRATCH = 64 * 1024,       /* one recv of small requests */
    CONN_INLINE_MAX = 16 * 1024,    /* frames up to this lie behind their conn_req in one block */
    CONN_BIG = 32 * 1024,           /* after a frame of this size the next header is read alone */
    CONN_TURN_MAX = 1024 * 1024,    /* bytes received, or sent, in one go for one connection */
    CONN_OUT_READ_MAX = 64 * 1024,  /* unsent bytes of a blocked peer from which it is not read */
    CONN_OUT_RUN_MAX = 1024 * 1024, /* ... and from which no further request is started */
    CONN_IOV = 64,
    CONN_COPY_MAX = 1024, /* chunks up to this are copied together instead of gathered */
};

enum req_state {
    REQ_READING,  /* its body is coming in */
    REQ_WAITING,  /* whole; its turn has not come */
    REQ_STARTED,  /* on_request was called */
    REQ_ANSWERED, /* conn_reply was called; those before it were not yet answered */
    REQ_ORPHAN,   /* started, connection gone; waits for conn_reply */
};

struct conn_priv;

/* A request with its memory: the frame lies behind the struct, or in `buf` from the pool. */
struct req {
    struct conn_req base; /* first */
    struct chunk one;     /* the answer of conn_reply_mem */
    uint8_t *data;        /* the frame */
    uint32_t len;         /* of the frame */
    uint32_t have;        /* bytes of it that are in */
    size_t cap;           /* room at data; with pooled: what goes back to the pool */
    bool pooled;
    uint8_t overlap; /* ops->overlaps said so; 0: runs alone */
    bool reserve;    /* reads beyond the budget */
    bool has_one;    /* `one` is in use: it frees the request when it has been sent */
    uint8_t state;   /* enum req_state */
    size_t charged;  /* to the budget */
    const struct conn_ops *ops;
};

/* A cold send in flight; outlives its connection if that is closed meanwhile. */
struct conn_cold {
    struct io_op op;
    struct conn_priv *c; /* NULL: closed */
    struct shard *shard;
    struct chunk *chunk;
};

/* Connections with the same limits, in the order of their activity. */
struct conn_class {
    struct list node;
    const struct conn_limits *limits;
    struct list idle;  /* all, by idle_mark_ms */
    struct list begun; /* those in the middle of a frame that are being read, by begun_ms */
};

struct conn_priv {
    struct conn base; /* first */
    struct list all, dirty, idle, begun, starved, held;
    struct conn_class *cls;
    struct io_sock *sock;
    struct list reqs;       /* whole requests, not answered or not yet at the head, in order */
    struct list *waiting;   /* the first of them that is not started; &reqs if all are */
    struct req *cur;        /* being read */
    uint8_t *carry;         /* bytes received and not split yet */
    struct list out;        /* chunks to send, in order */
    uint64_t out_bytes;     /* of them */
    struct chunk *joined;   /* of out: small answers behind each other; NULL: none */
    int64_t head_us;        /* the first answer in out began to be sent; 0: not yet */
    struct conn_cold *cold; /* its chunk comes before those of out */
    int64_t active_ms;      /* last byte in either direction */
    int64_t idle_mark_ms;   /* active_ms as known to the idle list */
    int64_t begun_ms;       /* last progress of the frame being read */
    int64_t read_ms;        /* when it was last read */
    int64_t held_ms;        /* since when its answers are held */
    uint32_t carry_off, carry_len, carry_cap;
    uint32_t reqs_n;         /* in reqs */
    uint32_t running;        /* started and not answered; all of one class */
    uint8_t running_overlap; /* which */
    uint8_t patient_run;     /* patient requests in a row, up to CONN_PATIENT_AFTER */
    uint8_t readings;        /* since answers were sent, up to two */
    uint16_t joined_room;    /* left in `joined` */
    uint8_t hdr[4];
    uint8_t hdr_have;
    bool follows;    /* the last reading came soon after the one before it */
    bool crowded;    /* patient requests come while others have no answer */
    bool out_urgent; /* something in out is waited for */
    bool big;        /* the last frame was: read the header alone, then the body in its place */
    bool blocked;    /* the socket takes no more now: IO_WRITE is waited for */
    bool is_starved; /* over the budget: not read */
    bool awaited;    /* conn_awaited.h */
    bool eof;        /* the peer sends no more; what it sent is still answered */
    bool draining;   /* conn_drain */
    bool closed;
    bool pumping;
};

struct conn_shard {
    struct shard *shard;
    struct list conns, classes;
    struct list dirty;    /* to be looked at at the end of the turn */
    struct list dead;     /* closed, not freed */
    struct list canceled; /* orphans whose on_cancel is due */
    struct list starved;  /* the oldest first */
    struct list held;     /* whose answers wait for their next reading, the oldest first */
    struct req *reserve;  /* the one request that may be read beyond the budget */
    struct task task;
    struct timer expiry, trim, patience;
    struct frame_pool pool;
    struct log_limit limit;
    int64_t read_us; /* when the bytes that are being split came: one look at the clock for all */
    uint64_t next_id;
    unsigned count;
    bool busy;         /* something was read since the last trim */
    bool budget_freed; /* starved connections may go on */
    bool resuming;     /* conn_feed_starved is at work */
    uint8_t *in, *out; /* scratch, CONN_SCRATCH each */
};

static inline struct conn_priv *conn_priv_of(struct conn *c)
{
    return (struct conn_priv *)c;
}
static inline struct req *req_of(struct conn_req *r)
{
    return (struct req *)r;
}
static inline struct conn_shard *conn_shard_of(const struct conn_priv *c)
{
    return c->base.shard->conns;
}

/* conn.c */
void conn_mark(struct conn_priv *c);   /* look at it at the end of the turn */
void conn_pump(struct conn_priv *c);   /* start requests whose turn has come */
void conn_settle(struct conn_priv *c); /* end of the turn: start, send, read on, close, arm */
void conn_touch(struct conn_priv *c, int64_t now_ms);
/* Close, with a rate-limited line. */
void conn_fail(struct conn_priv *c, const char *why);
void conn_fail_length(struct conn_priv *c, int32_t len);
void conn_fail_io(struct conn_priv *c, int64_t err);
void req_free(struct conn_shard *cs, struct req *r);
void req_free_frame(struct conn_shard *cs, struct req *r);

/* conn_read.c */
void conn_read(struct conn_priv *c);   /* the socket is readable */
bool conn_resume(struct conn_priv *c); /* goes on with what is here already */
void conn_feed_starved(struct conn_shard *cs);
bool conn_may_read(const struct conn_priv *c);
void conn_drop_input(struct conn_priv *c);

/* conn_patience.c */
void conn_patience_note(struct conn_priv *c, struct req *r); /* a request is whole */
void conn_patience_reading(struct conn_priv *c, int64_t now_ms);
bool conn_is_patient(const struct conn_priv *c);
bool conn_holds_answers(struct conn_priv *c); /* out waits for more */
void conn_patience_end(struct conn_priv *c);  /* out is being sent */
/* The answer to r, which is the next one due, is put behind those that are held: its bytes are
 * copied. False: it is no such answer. */
bool conn_join_answer(struct conn_priv *c, const struct req *r, const uint8_t *data, size_t len);
void conn_patience_cb(struct timer *t);

/* conn_write.c */
void conn_flush(struct conn_priv *c);
void conn_drop_output(struct conn_priv *c);
/* c->out: the chunk ends with the answer to req. */
void conn_stamp(const struct conn_req *req, struct chunk *k);
void conn_charge_answer(struct conn_priv *c, const struct chunk *k);
void conn_uncharge_answer(struct conn_priv *c, const struct chunk *k);

/* conn_shard.c */
struct conn_shard *conn_shard_get(struct shard *sh);
struct conn_class *conn_class_get(struct conn_shard *cs, const struct conn_limits *limits);
void conn_shard_wish(struct conn_shard *cs); /* run the task at the end of the turn */
void conn_expiry_plan(struct conn_shard *cs, int64_t at_ms);
void conn_trim_plan(struct conn_shard *cs);
void conn_budget_take(struct conn_shard *cs, size_t bytes);
void conn_budget_give(struct conn_shard *cs, size_t bytes);
void conn_charge(struct conn_shard *cs, struct req *r, size_t bytes);
void conn_uncharge(struct conn_shard *cs, struct req *r);

#endif
