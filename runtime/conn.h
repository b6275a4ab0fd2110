/* A server connection that speaks length-prefixed frames (int32 big-endian, then that many bytes):
 * reading, order, limits, answers. It knows nothing of what is in a frame but what its owner's
 * callbacks tell it. Used by the broker's listeners and by the controller's.
 *
 * Life of a request: read header (4 bytes) -> charge the budget -> read the body -> wait its turn
 * -> on_request -> conn_reply -> sent in order -> freed. Order: a request starts when those before
 * it have been answered; only where overlaps() gives it and all unanswered ones before it the same
 * class does it start earlier. Answers go out in request order whatever order they are given in.
 *
 * Limits: a length below 1 or above frame_bytes_max closes the connection; at most requests_max
 * requests are read ahead; over the shard's budget no more is read, except that the oldest
 * oversized request of the shard goes on from a reserve; a body without progress for
 * body_timeout_ms is closed; idle_ms without a request closes; a peer that does not read its
 * answers stops being read. An idle connection holds no buffers.
 *
 * Patience: a connection that has brought nothing but patient requests (patient()) for a while, a
 * run of CONN_PATIENT_AFTER, is watched patiently (IO_PATIENT). The first other request on it may
 * so be late once; it ends the run. While patient requests come faster than they are looked for,
 * the answers of one reading leave with those of the next; nothing else waits for that.
 *
 * The budget is charged for frames (with the room they grow into: a frame's buffer grows with the
 * bytes that arrive, so a lying length costs nothing), for bytes read ahead and for answers in
 * memory until they are sent. While it is used up, a peer that has not read its answers for
 * body_timeout_ms is closed.
 *
 * The peer's end of stream: what it sent whole is still started and answered, then the connection
 * closes (a client that sends acks=0 and goes; a script that closes its writing side).
 *
 * On close: unfinished requests get on_cancel (if they were started) and their memory is freed when
 * the owner answers (conn_reply on a canceled request only frees) or at once if they were not
 * started. on_cancel and on_close never run inside conn_close (or inside on_request), but at the
 * end of the turn; a request answered by then gets no on_cancel. */
#ifndef RUNTIME_CONN_H
#define RUNTIME_CONN_H

#include "base/bytes.h"
#include "runtime/shard.h"

struct conn;
struct conn_req;

enum { CONN_PATIENT_AFTER = 8 };

/* A piece of an answer: memory that the reply owns, or a range of a file with a lease. release runs
 * on the connection's shard and must not call back into conn.h. */
struct chunk {
    struct list node;
    enum { CHUNK_MEM, CHUNK_FILE } kind;
    const uint8_t *data;  /* MEM */
    struct io_file *file; /* FILE */
    uint64_t off;         /* FILE: next byte to send */
    size_t len;           /* bytes left to send */
    void (*release)(struct chunk *c,
                    struct shard *sh); /* called once, sent or not; frees the chunk itself too */
    void *user;                        /* release's */
    void *user2;
    bool hot;            /* FILE: surely in memory (appended a moment ago): do not ask, send */
    uint16_t answers;    /* conn.c's: that end with it and whose owner wants on_sent */
    uint16_t tag;        /* the same: of the request */
    int64_t received_us; /* the same */
    int64_t replied_us;  /* the same */
};

/* Answers that the socket has taken whole. Times as of io_now_us. */
struct conn_sent {
    unsigned answers;    /* so many small ones that went together; the times are the first one's */
    uint16_t tag;        /* of its conn_req */
    int64_t received_us; /* of its request */
    int64_t replied_us;
    int64_t begun_us; /* its first bytes were sent */
    int64_t sent_us;
};

struct conn_ops {
    /* The class of a frame: it may start while unanswered ones of the same class run. 0, and NULL:
     * it runs alone. */
    uint8_t (*overlaps)(struct bytes frame);
    /* Nobody waits closely for the answer to this frame. NULL: somebody always does. */
    bool (*patient)(struct bytes frame);
    /* A whole request whose turn has come. frame stays valid until the reply. Answer exactly once
     * with conn_reply, or conn_close(req->conn) to close the connection without an answer (the
     * request is then still answered to be freed). */
    void (*on_request)(struct conn_req *req);
    /* The connection of a started request is gone: stop waiting for what it waits for, then
     * conn_reply with nothing. */
    void (*on_cancel)(struct conn_req *req);
    /* An answer has been sent for which the owner had set replied_us. NULL: nobody asks. */
    void (*on_sent)(struct conn *c, const struct conn_sent *s);
    void (*on_open)(struct conn *c);  /* may be NULL */
    void (*on_close)(struct conn *c); /* may be NULL; c is freed afterwards */
};

struct conn_limits {
    uint32_t frame_bytes_max; /* socket.request.max.bytes */
    uint32_t requests_max;    /* read ahead per connection */
    int64_t idle_ms;          /* connections.max.idle.ms; <= 0 never */
    int64_t body_timeout_ms;  /* a begun frame must make progress within this */
};

struct conn_req {
    struct list node;  /* conn.c's */
    struct conn *conn; /* NULL once the connection is gone */
    struct shard *shard;
    struct bytes frame;  /* without its length prefix */
    int64_t received_us; /* io_now_us when the frame was whole */
    int64_t replied_us;  /* the owner's, before conn_reply: on_sent is wanted; 0: it is not */
    uint16_t tag;        /* the owner's: for on_sent */
    bool patient;        /* it came after a run of patient ones and is one: no need to hurry */
    void *user;          /* the owner's parked state */
    /* conn.c's */
    struct list out; /* chunks of the answer */
};

struct conn {
    struct shard *shard;
    const struct conn_ops *ops;
    const struct conn_limits *limits;
    void *user;    /* the owner's: listener */
    void *session; /* the owner's: per-connection state (client id, principal) */
    uint64_t id;   /* unique on the shard */
    char peer[64]; /* numeric address */
};

/* Takes over an accepted handle. NULL (and the handle closed) when there is no memory for it. ops
 * and limits must outlive the shard's last connection that was opened with them, and the end of the
 * shard's connections (the stop hook). */
struct conn *conn_open(struct shard *sh, int handle, const struct conn_ops *ops,
                       const struct conn_limits *limits, void *user);
/* Closes now: pending answers are dropped. */
void conn_close(struct conn *c);
/* Stops reading; closes when what is being answered has been sent (orderly stop). A peer that goes
 * on sending gets a reset then, and with some systems loses what it has not read yet. */
void conn_drain(struct conn *c);
/* chunks: a list of struct chunk (head initialised; emptied by the call). An empty list is "no
 * answer" (acks=0). May be called from inside on_request. The first chunk must begin with the
 * 4-byte length prefix: the caller writes whole frames. */
void conn_reply(struct conn_req *req, struct list *chunks);
/* Charges the budget for memory that the owner takes for this request besides its frame (decoded
 * form), until it is answered. */
void conn_req_charge(struct conn_req *req, size_t bytes);
/* The answer to a patient request is one that its receiver acts upon: it leaves at once, and what
 * the receiver does next is looked for closely. */
void conn_req_hurry(struct conn_req *req);
/* The owner has no more use for the frame of a request that it will answer later: the frame is gone
 * and, if it was not small, its memory; the budget keeps what is left, and `owned` bytes that the
 * owner holds for the request. */
void conn_req_release_frame(struct conn_req *req, size_t owned);
/* A reply that is one block of memory, which the connection frees with mem_free. */
void conn_reply_mem(struct conn_req *req, uint8_t *data, size_t len);
/* For chunk lists: a MEM chunk that frees data with mem_free when done. */
struct chunk *chunk_mem(uint8_t *data, size_t len);
unsigned conn_count(const struct shard *sh); /* open connections of the shard */
void conn_close_all(struct shard *sh, bool drain);

/* Connections on which nothing moves though something should, for people who ask why. */
enum conn_stuck_kind {
    CONN_STARVED, /* not read: the shard's memory for requests is used up */
    CONN_BLOCKED, /* its peer does not take its answers */
    CONN_HALF,    /* the rest of a request does not come */
};
struct conn_stuck {
    const struct conn *conn;
    enum conn_stuck_kind kind;
    int64_t ms;     /* since the last byte of it moved */
    uint64_t bytes; /* BLOCKED: of answers, HALF: that have come */
};
void conn_each_stuck(struct shard *sh, void (*fn)(const struct conn_stuck *s, void *user),
                     void *user);

#endif
