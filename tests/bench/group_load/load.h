/* What the files of group_load share: bytes in and out, the load and its connections. */
#ifndef TESTS_BENCH_GROUP_LOAD_H
#define TESTS_BENCH_GROUP_LOAD_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The keys of the requests. */
enum { COMMIT = 8, FETCH = 9, JOIN = 11, BEAT = 12, LEAVE = 13, SYNC = 14 };
/* Error codes that are part of the game. */
enum { LOADING = 14, NOT_AVAILABLE = 15, NOT_COORDINATOR = 16, REBALANCE = 27, ID_REQUIRED = 79 };
enum { ID_MAX = 96 };

#define SECOND 1000000000ull
#define MILLI  1000000ull

_Noreturn void die(const char *what);
uint64_t now_ns(void);

/* ---- bytes out ---- */

struct buf {
    uint8_t *p;
    size_t n, cap;
};

static inline void raw(struct buf *b, const void *d, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = (b->n + n) * 2;
        b->p = realloc(b->p, b->cap);
        if (b->p == NULL) {
            die("memory");
        }
    }
    memcpy(b->p + b->n, d, n);
    b->n += n;
}

static inline void u8(struct buf *b, uint8_t v)
{
    raw(b, &v, 1);
}

static inline void i16(struct buf *b, int v)
{
    uint16_t n = htons((uint16_t)v);
    raw(b, &n, 2);
}

static inline void i32(struct buf *b, int64_t v)
{
    uint32_t n = htonl((uint32_t)v);
    raw(b, &n, 4);
}

static inline void i64(struct buf *b, int64_t v)
{
    i32(b, v >> 32);
    i32(b, v);
}

static inline void uvar(struct buf *b, size_t v)
{
    for (; v >= 128; v >>= 7) {
        u8(b, (uint8_t)(v | 128));
    }
    u8(b, (uint8_t)v);
}

static inline void str(struct buf *b, const char *s) /* compact */
{
    size_t n = strlen(s);
    uvar(b, n + 1);
    raw(b, s, n);
}

static inline void str16(struct buf *b, const char *s)
{
    size_t n = strlen(s);
    i16(b, (int)n);
    raw(b, s, n);
}

/* ---- bytes in ---- */

struct cur {
    const uint8_t *p, *end;
    bool bad; /* an answer that ends too early */
};

static const uint8_t *take(struct cur *c, size_t n)
{
    static const uint8_t none[8];
    if ((size_t)(c->end - c->p) < n) {
        c->bad = true;
        c->p = c->end;
        return n <= sizeof none ? none : NULL;
    }
    c->p += n;
    return c->p - n;
}

static inline int g16(struct cur *c)
{
    const uint8_t *p = take(c, 2);
    return (int16_t)(p[0] << 8 | p[1]);
}

static inline int32_t g32(struct cur *c)
{
    const uint8_t *p = take(c, 4);
    return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static inline int64_t g64(struct cur *c)
{
    int64_t high = g32(c);
    return (int64_t)((uint64_t)high << 32 | (uint32_t)g32(c));
}

static inline size_t guvar(struct cur *c)
{
    size_t v = 0;
    for (int shift = 0; shift < 35; shift += 7) {
        uint8_t byte = take(c, 1)[0];
        v |= (size_t)(byte & 127) << shift;
        if (byte < 128) {
            return v;
        }
    }
    c->bad = true;
    return 0;
}

static inline size_t gcount(struct cur *c) /* compact array; null is none */
{
    size_t n = guvar(c);
    return n ? n - 1 : 0;
}

static const uint8_t *gbytes(struct cur *c, size_t *n) /* compact string or bytes; null is empty */
{
    *n = gcount(c);
    const uint8_t *p = take(c, *n);
    *n = c->bad ? 0 : *n;
    return p;
}

static inline void skip_str(struct cur *c)
{
    size_t n;
    gbytes(c, &n);
}

static inline void gstr(struct cur *c, char *out)
{
    size_t n;
    const uint8_t *p = gbytes(c, &n);
    if (n >= ID_MAX) {
        c->bad = true;
        n = 0;
    }
    memcpy(out, p, n);
    out[n] = 0;
}

static inline void skip_tags(struct cur *c)
{
    for (size_t n = guvar(c); n && !c->bad; n--) {
        guvar(c);
        take(c, guvar(c));
    }
}

/* ---- the load ---- */

struct hist { /* microseconds: powers of two with 64 steps each */
    uint64_t count[64 * 64], n, max;
};

struct member;

struct sent {
    uint64_t at; /* when it was due */
    struct member *member;
    uint32_t arg;
    int key;
};

struct conn {
    int fd;
    bool dirty;
    uint32_t index, corr_sent, corr_got;
    struct sent *fifo; /* sent, not answered: corr_got to corr_sent, modulo fifo_cap */
    uint32_t fifo_cap;
    struct buf out, in;
    size_t out_off;
    /* commits: the one request, its changing field, what was committed and answered last */
    struct buf frame;
    size_t offset_at;
    int64_t offset;
};

struct group {
    char id[32];
    uint32_t live;       /* members that are meant to be in it */
    uint32_t settled;    /* of them, those that have synced in this generation */
    int32_t generation;  /* the newest that somebody has synced in */
    uint64_t settled_at; /* when the last of them had */
    uint64_t joined_at;  /* when the last JoinGroup went out */
};

enum member_state { OUT, JOINING, SYNCING, STABLE, GONE };

struct member {
    struct group *group;
    struct conn *conn;
    char id[ID_MAX];
    int32_t generation;
    enum member_state state;
    bool leads, beating; /* beating: a heartbeat is out */
    uint64_t beat_at;
};

struct load {
    const char *port, *topic, *prefix;
    int pid, members, groups, connections, inflight, rounds, heartbeat_ms, session_ms, topics;
    int partitions, seconds, warmup;
    bool as_member, burst, bare;
    double rate;
    uint64_t since;

    int ep, timer;
    struct conn *conns;
    struct conn **dirty;
    uint32_t dirty_n;
    struct hist lat;
    bool counting, running; /* answers count; commits are followed by the next */
    uint64_t done, behind, errors;
    /* probe */
    uint32_t *retry, retry_n;
    bool whole; /* all offsets of the group are in the answer */
};

double hist_q(const struct hist *h, double q);
void problem(struct load *l, const struct sent *s, const char *what, int64_t got);
double cpu_s(const struct load *l); /* of the broker's process so far */
long rss_kib(const struct load *l);

bool conn_open(struct load *l, struct conn *c); /* false: nobody listens */
void connect_all(struct load *l, int n);
/* A request: begin (header version 2; returns where the frame begins), its body, finish. */
size_t begin(struct load *l, struct conn *c, struct member *m, int key, int version);
void finish(struct buf *b, size_t at);
/* For whoever builds the frame otherwise: a request is out, and its connection has bytes to send.
 */
struct sent *expect(struct conn *c, int key, struct member *m, uint64_t at);
void mark(struct load *l, struct conn *c);

/* Waits, takes answers, sends what they led to. */
void turn(struct load *l, int wait_ms);
void wake_at(struct load *l, uint64_t at); /* the next turn ends then at the latest */
void drain(struct load *l);                /* until everything is answered */

/* ---- members.c ---- */

void members_answer(struct load *l, struct sent *s, struct cur *c); /* JOIN, SYNC, BEAT, LEAVE */
/* A group of one member on each connection, named prefix-i, until all are stable. */
void members_alone(struct load *l, struct group *g, struct member *m);
void members_leave(struct load *l, struct member *m, int n); /* m and the n - 1 after it */
void settle(struct load *l);
void idle(struct load *l);

/* ---- offsets.c ---- */

void offsets_answer(struct load *l, struct conn *conn, struct sent *s, struct cur *c);
void commits(struct load *l);
void fill(struct load *l);
void probe(struct load *l);

#endif
