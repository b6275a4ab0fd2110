/* What all decisions use; decide.h tells the story. */
#include "controller/decide.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proto_errors.h"
#include "proto_features.h"

void decision_init(struct decision *d)
{
    *d = (struct decision){.changed_broker = -1, .step = DECISION_STEP};
}

void decision_free(struct decision *d)
{
    buf_free(&d->bytes);
    mem_free(d->spans);
    d->spans = NULL;
    d->n = d->cap = 0;
}

void decision_add(struct decision *d, const struct proto_message *m, int16_t version,
                  const void *record)
{
    struct errmsg em = {{0}};
    size_t at = d->bytes.len;
    int err = proto_encode_metadata_record(m, version, record, &d->bytes, &em);
    ASSERT(err == 0);
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 16;
        d->spans = mem_realloc(d->spans, d->cap * sizeof *d->spans);
    }
    d->spans[d->n++] = (struct decision_span){at, d->bytes.len - at};
}

void decision_cut(struct decision *d, size_t n)
{
    ASSERT(n <= d->n);
    if (n < d->n) {
        d->bytes.len = d->spans[n].at;
        d->n = n;
    }
}

struct bytes decision_record(const struct decision *d, size_t i)
{
    ASSERT(i < d->n);
    return bytes_of(d->bytes.data + d->spans[i].at, d->spans[i].len);
}

struct bytes decision_text(struct decision *d, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    return bytes_of(arena_strndup(d->arena, text, len), len);
}

/* ---- the same thing twice ---- */

struct placed_key {
    struct decision_key key;
    uint32_t at;
};

static int by_key(const void *x, const void *y)
{
    const struct placed_key *a = x;
    const struct placed_key *b = y;
    int c = a->key.kind - b->key.kind;
    c = c ? c : bytes_cmp(a->key.name, b->key.name);
    return c ? c : (a->at > b->at) - (a->at < b->at);
}

struct decision_places *decision_same(struct arena *a, const struct decision_key *keys, size_t n)
{
    struct decision_places *out = ARENA_ARRAY(a, struct decision_places, n + 1);
    struct placed_key *v = mem_alloc((n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct placed_key){keys[i], (uint32_t)i};
    }
    qsort(v, n, sizeof *v, by_key);
    for (size_t from = 0, to; from < n; from = to) {
        to = from + 1;
        while (to < n && v[to].key.kind == v[from].key.kind &&
               bytes_eq(v[to].key.name, v[from].key.name)) {
            to++;
        }
        for (size_t i = from; i < to; i++) {
            out[v[i].at] = (struct decision_places){v[from].at, v[to - 1].at};
        }
    }
    mem_free(v);
    return out;
}

/* ---- questions ---- */

const struct proto_metadata_version *decide_version(const struct decision *d)
{
    const struct proto_metadata_version *v =
        proto_metadata_version(image_feature_level(d->img, "metadata.version"));
    return v ? v : &proto_metadata_versions[0];
}

bool decide_elr_enabled(const struct decision *d)
{
    return image_feature_level(d->img, "eligible.leader.replicas.version") > 0;
}

bool decide_is_active(const struct decision *d, int32_t broker)
{
    if (broker == d->changed_broker) {
        return d->changed_active;
    }
    const struct image_broker *b = image_broker(d->img, broker);
    const struct session_of_broker *s = sessions_find(d->sessions, broker);
    return b && !b->fenced && !b->in_controlled_shutdown && !(s && s->fencing);
}

int16_t decide_broker_epoch(const struct decision *d, int32_t broker, int64_t epoch)
{
    const struct image_broker *b = image_broker(d->img, broker);
    return b && b->epoch == epoch ? KE_NONE : KE_STALE_BROKER_EPOCH;
}

struct uuid decide_default_directory(const struct decision *d, int32_t broker)
{
    const struct image_broker *b = image_broker(d->img, broker);
    if (b && b->log_dirs_n == 0) {
        return UUID_ZERO;
    }
    return b && b->log_dirs_n == 1 ? b->log_dirs[0] : uuid_reserved(1);
}

/* A setting of a topic, or the cluster's; null: neither is set. */
static struct bytes topic_setting(const struct decision *d, struct bytes topic, const char *name)
{
    struct bytes v = image_config_value(d->img, CONFIG_TOPIC, topic, bytes_str(name));
    return bytes_is_null(v)
               ? image_config_value(d->img, CONFIG_BROKER, bytes_str(""), bytes_str(name))
               : v;
}

static int32_t parse_min_isr(const struct decision *d, struct bytes v)
{
    int64_t n = 0;
    if (bytes_is_null(v) || v.len == 0 || v.len > 10) {
        return d->cfg->min_insync_replicas;
    }
    for (size_t i = 0; i < v.len; i++) {
        if (v.data[i] < '0' || v.data[i] > '9') {
            return d->cfg->min_insync_replicas;
        }
        n = 10 * n + (v.data[i] - '0');
    }
    return n > INT32_MAX ? INT32_MAX : (int32_t)n;
}

/* Decisions walk from topic to topic: the last one's settings are kept. */
static void read_settings(struct decision *d, const struct image_topic *t)
{
    if (d->settings_of == t) {
        return;
    }
    struct bytes v = topic_setting(d, t->name, "unclean.leader.election.enable");
    d->settings_of = t;
    d->min_isr = parse_min_isr(d, topic_setting(d, t->name, "min.insync.replicas"));
    d->unclean_election =
        bytes_is_null(v) ? d->cfg->unclean_leader_election : bytes_eq_str(v, "true");
}

int32_t decide_min_isr(struct decision *d, const struct image_topic *t)
{
    read_settings(d, t);
    return d->min_isr;
}

bool decide_unclean_election(struct decision *d, const struct image_topic *t)
{
    read_settings(d, t);
    return d->unclean_election;
}
