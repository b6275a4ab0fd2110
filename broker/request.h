/* A client's request from frame to answer: header, dispatch by the table in api/table.c, decoding
 * into the generated struct, the handler, encoding.
 *
 * A handler gets a struct request and must answer it exactly once, now or later, with one of the
 * request_reply calls, which free it. A handler that waits for something sets `on_cancel`: it is
 * called when the connection is gone meanwhile; the handler then stops waiting and still ends the
 * request (request_drop, or a reply that goes nowhere). Without on_cancel nothing happens on
 * cancel: the handler finishes in its time, the answer is thrown away.
 *
 * Memory: `body` and all it points to, and whatever the handler takes from `arena`, live until the
 * request is answered; strings and records point into the frame, which lives as long. `image` is
 * the one metadata version that this request sees (one that was put off: the newest when it goes
 * on).
 *
 * Failure modes: an unknown key or version, a listener that does not serve the API, or a body that
 * does not decode closes the connection with a rate-limited line, as Kafka does (ApiVersions
 * excepted: see api/api_versions.c). */
#ifndef BROKER_REQUEST_H
#define BROKER_REQUEST_H

#include "base/arena.h"
#include "broker/node.h"
#include "proto/message.h"
#include "runtime/conn.h"

struct listener;
struct request;

/* One line of the dispatch table. Versions are Kafka's (proto_apis.h): what stands here is served
 * and advertised at all of them. */
struct api {
    int16_t key;
    void (*handle)(struct request *r);
};

/* api/table.c, rising by key. */
extern const struct api api_table[];
extern const size_t api_table_n;
const struct api *api_find(int16_t key); /* NULL: not served */
/* Kinds of requests as they are counted (shard_stats.h): the API's place in the table, and one more
 * for fetches of followers, which Kafka counts apart. */
unsigned request_slots(void);
unsigned request_follower_slot(void);

struct request {
    struct list live;      /* in the pool's list of those that are unanswered */
    struct conn_req *cr;   /* the connection's side */
    unsigned slot;         /* in shard_stats; the handler may choose another */
    int64_t started_us;    /* the handler was called; put off: it went on */
    int64_t local_us;      /* from then on others were waited for; 0: nobody */
    struct node_shard *ns; /* the connection's shard */
    const struct listener *listener;
    const struct api *api;
    struct proto_request_header hdr;
    void *body;                           /* decoded, by the API's request schema */
    struct arena arena;                   /* freed with the request; limit set */
    const struct image *image;            /* a reference */
    void *state;                          /* the handler's while it waits */
    void (*on_cancel)(struct request *r); /* the handler's; may be NULL */
    bool canceled;                        /* the connection is gone */
};

/* Per connection: conn->session. */
struct session {
    char client_id[256];    /* of the newest request, cut to fit; for log lines and quotas */
    char software_name[64]; /* of ApiVersions */
    char software_version[64];
};

/* Encodes the struct of the API's response schema (of r's version) and answers. The fields that the
 * handler fills by hand must be legal in every version: an answer that does not encode is a bug and
 * closes the connection with an error line. */
void request_reply(struct request *r, const void *body);
/* The same with another version's encoding (ApiVersions answers a version that is too high in 0).
 */
void request_reply_version(struct request *r, int16_t version, const void *body);
/* Chunks of whole frames, built by the handler; the list is emptied. */
void request_reply_chunks(struct request *r, struct list *chunks);
void request_drop(struct request *r);  /* no answer: acks=0, canceled */
void request_close(struct request *r); /* no answer, and the connection closes */
/* It stays unanswered until the connection ends: what Kafka does with a few broken requests. */
void request_never(struct request *r);
/* Why, with a rate-limited line. */
void request_refuse(struct request *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The handler does not look at it yet, because the shard has too much to do: later it goes on with
 * `handle` in place of its handler. What it waited until then is time in the queue. */
void request_put_off(struct request *r);
void request_go_on(struct request *r, void (*handle)(struct request *r));

/* The frame is not needed any more, though the answer may be minutes away: its memory and charge
 * are given back. body is NULL afterwards, client_id null; what the arena holds stays: used bytes.
 * (Told by the caller: the arena itself may be another shard's at the moment.) */
void request_release_frame(struct request *r, size_t used);

/* How much of its shard's budget may be taken for the parts of one answer, beyond which a request
 * that asks for the same things again and again is refused. */
size_t request_answer_max(const struct node_shard *ns);

/* An empty response struct of the API's schema, at its defaults, in r's arena. */
void *request_response(struct request *r);

static inline struct node *request_node(const struct request *r)
{
    return r->ns->node;
}

/* listener.c's callbacks for conn.h. */
extern const struct conn_ops request_conn_ops;
struct request_pool *request_pool_new(struct node_shard *ns);
void request_pool_free(struct request_pool *p);
/* After the node's threads have ended: requests whose memory other shards still had. */
void request_free_lent(struct node_shard *ns);
/* Every request that is not answered yet; fn must leave them as they are. */
void request_pool_each(const struct request_pool *p,
                       void (*fn)(const struct request *r, void *user), void *user);
/* The node stops: closes the connections of requests that are never answered. */
void request_pool_stop(struct request_pool *p);

#endif
