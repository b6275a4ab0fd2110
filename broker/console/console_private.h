/* What the files of the console share. */
#ifndef BROKER_CONSOLE_CONSOLE_PRIVATE_H
#define BROKER_CONSOLE_CONSOLE_PRIVATE_H

#include "base/json_writer.h"
#include "broker/config.h"
#include "broker/console/console.h"
#include "broker/console/peers.h"
#include "broker/console/watch.h"

struct console {
    struct monitor *monitor;
    struct list peers; /* struct peer */
    /* peers.c's */
    struct list asks; /* under way, ... */
    unsigned asks_n;  /* ... so many; and ... */
    struct list line; /* ... those that wait for their turn */
    struct watch watch;
    struct list waiting; /* api.c's: requests until the first round is through */
    /* api_messages.c's */
    struct list reading; /* looks whose records are there */
    struct timer read;   /* the next step of one of them */
    unsigned looks;      /* all */
    bool ended;
};

static inline struct shard *console_shard(const struct console *c)
{
    return monitor_shard(c->monitor);
}

static inline int64_t console_now(const struct console *c)
{
    return shard_now_ms(console_shard(c));
}

static inline const struct config *console_config(const struct console *c)
{
    return monitor_node(c->monitor)->config;
}

/* ---- api.c ---- */

/* The watch has made its first round (or the console ends): who waited is answered. */
void console_first_round(struct console *c);
/* There is no metadata: who has waited for so long is refused, for each holds a connection. */
void console_refuse_late(struct console *c, int64_t patience_ms);
/* An answer of 200. Takes the text. */
void api_reply(struct http_request *r, struct buf *text);
/* {"error": sentence}. */
void api_refuse(struct http_request *r, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A number in the query between least and most, else the fallback. */
int64_t api_number(const struct http_request *r, const char *name, int64_t fallback, int64_t least,
                   int64_t most);
/* "page" and "per" of the query. */
struct api_page {
    uint32_t page; /* from 0 */
    uint32_t per;
};
struct api_page api_page(const struct http_request *r);
void api_put_page(struct json_writer *w, struct api_page p, size_t total);
void api_put_ids(struct json_writer *w, const char *name, const int32_t *v, uint32_t n);

typedef void api_fn(struct console *c, struct http_request *r);
void api_overview(struct console *c, struct http_request *r);   /* api_overview.c */
void api_throughput(struct console *c, struct http_request *r); /* the same */
void api_brokers(struct console *c, struct http_request *r);    /* api_brokers.c */
void api_topics(struct console *c, struct http_request *r);     /* api_topics.c */
void api_topic(struct console *c, struct http_request *r);      /* api_topic.c */
void api_groups(struct console *c, struct http_request *r);     /* api_groups.c */
void api_group(struct console *c, struct http_request *r);      /* the same */
void api_messages(struct console *c, struct http_request *r);   /* api_messages.c */
void messages_init(struct console *c);
void messages_end(struct console *c); /* who looks is refused */

#endif
