/* Questions to brokers, in Kafka's protocol, through their listener for brokers. One peer a broker
 * of the metadata; each question ends exactly once, within its time, with an answer or an error,
 * and leaves on the peer whether the broker answers.
 *
 * The versions are chosen by whoever asks: they are those that every Millrace serves.
 *
 * All questions together are bounded: PEER_ASKS_MAX are out at a time, over all brokers, and the
 * others wait in line, each with its time still to come; an answer may have PEER_ANSWER_BYTES (the
 * connection ends at a larger one: the broker does not answer that question).
 *
 * Shard: the monitor's. */
#ifndef BROKER_CONSOLE_PEERS_H
#define BROKER_CONSOLE_PEERS_H

#include "base/arena.h"
#include "controller/channel.h"
#include "proto/message.h"

struct console;
struct image;

enum {
    PEER_ASKS_MAX = 16,
    PEER_ANSWER_BYTES = 20 << 20,
};

struct peer_dir { /* one of a broker's log directories */
    char *path;
    int16_t error; /* Kafka's code */
    uint32_t replicas;
    int64_t bytes; /* of its replicas */
    int64_t total; /* of its file system; -1 unknown */
    int64_t usable;
};

struct peer {
    struct list node; /* of the console */
    struct console *console;
    int32_t id;
    bool known;  /* the metadata have it */
    bool fenced; /* it is not asked */
    struct channel_endpoint address;
    struct channel *channel;
    unsigned asks; /* under way, or in line */
    /* how it went last */
    bool heard; /* it answered, or did not, since it was unfenced */
    bool answers;
    int64_t since_ms; /* it is so; io time */
    char why[64];     /* it does not answer */
    struct peer_dir *dirs;
    unsigned dirs_n;
};

struct ask;
/* err 0: answer is the struct of the API's response, good during the call. */
typedef void ask_fn(struct peer *p, int err, const void *answer, void *user);

/* Peers become those of the image. Their addresses are those of the named listener (NULL or one
 * that a broker does not have: its first that speaks in plain text). */
void console_peers_follow(struct console *c, const struct image *img, const char *listener);
struct peer *peer_find(struct console *c, int32_t id); /* NULL: none */
/* fn comes later, also when the console ends. */
void peer_ask(struct peer *p, int16_t api_key, int16_t version, const void *request,
              int64_t timeout_ms, ask_fn *fn, void *user);
void peer_drop_dirs(struct peer *p);
void console_peers_end(struct console *c); /* all questions end */
void console_peers_free(struct console *c);

#endif
