#include "broker/topic_config.h"

#include "base/assert.h"
#include "proto/compress.h"
#include "proto_errors.h"

/* Where settings are looked up: a topic's own ones over the broker's. */
struct lookup {
    const struct config *c; /* NULL: Kafka's defaults alone */
    const struct image *img;
    const struct image_config_entry *own;
    size_t own_n;
};

static struct bytes own_text(const struct lookup *l, const char *name)
{
    size_t lo = 0;
    size_t hi = l->own_n;
    while (lo < hi) { /* sorted by name */
        size_t mid = lo + (hi - lo) / 2;
        int c = bytes_cmp(l->own[mid].name, bytes_str(name));
        if (c == 0) {
            return l->own[mid].value;
        }
        if (c < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return BYTES_NULL;
}

/* The broker's value for a topic setting: the first synonym that has one, in the topic's unit.
 * False: none. */
static bool from_broker(const struct lookup *l, const struct config_def *d,
                        struct config_value *out, enum config_source *source)
{
    for (unsigned i = 0; l->c && i < d->synonyms_n; i++) {
        const struct config_synonym *s = &d->synonyms[i];
        const struct config_def *b = config_find(&config_broker_table, bytes_str(s->name));
        ASSERT(b);
        dynamic_config_value(l->c, l->img, b, out, source);
        if (out->null) {
            continue;
        }
        if (s->factor > 1 && out->integer >= 0) {
            out->integer *= s->factor;
        }
        return true;
    }
    return false;
}

static void find(const struct lookup *l, const struct config_def *d, struct config_value *out,
                 enum config_source *source)
{
    struct bytes text = own_text(l, d->name);
    if (!bytes_is_null(text) && config_parse(d, text, out, NULL) == 0) {
        *source = CONFIG_SOURCE_TOPIC;
        return;
    }
    if (from_broker(l, d, out, source)) {
        return;
    }
    *source = CONFIG_SOURCE_DEFAULT;
    int rc = config_parse(d, bytes_str(d->def), out, NULL);
    ASSERT(rc == 0);
}

struct bytes topic_config_effective(const struct config *c, const struct image *img,
                                    const struct config_def *d,
                                    const struct image_config_entry *own, size_t own_n,
                                    struct arena *a, enum config_source *source)
{
    struct lookup l = {c, img, own, own_n};
    struct config_value v;
    struct buf text = {0};
    find(&l, d, &v, source);
    if (v.null) {
        return BYTES_NULL;
    }
    config_print(d, &v, &text);
    struct bytes out = bytes_of(arena_strndup(a, text.data, text.len), text.len);
    buf_free(&text);
    return out;
}

/* ---- typed ---- */

static struct config_value get(const struct lookup *l, const char *name)
{
    const struct config_def *d = config_find(&config_topic_table, bytes_str(name));
    struct config_value v;
    enum config_source source;
    ASSERT(d);
    find(l, d, &v, &source);
    return v;
}

static int64_t get_int(const struct lookup *l, const char *name)
{
    return get(l, name).integer;
}

/* -1 and all below is "no limit". */
static int64_t get_limit(const struct lookup *l, const char *name)
{
    int64_t v = get_int(l, name);
    return v < 0 ? -1 : v;
}

static void fill_codec(const struct lookup *l, struct topic_config *out)
{
    struct bytes type = get(l, "compression.type").text;
    out->level = CODEC_LEVEL_DEFAULT;
    out->codec = TOPIC_CODEC_PRODUCER;
    if (bytes_eq_str(type, "gzip")) {
        int64_t level = get_int(l, "compression.gzip.level");
        out->codec = CODEC_GZIP;
        out->level = level < 0 ? CODEC_LEVEL_DEFAULT : (int)level;
    } else if (bytes_eq_str(type, "lz4")) {
        out->codec = CODEC_LZ4;
        out->level = (int)get_int(l, "compression.lz4.level");
    } else if (bytes_eq_str(type, "zstd")) {
        out->codec = CODEC_ZSTD;
        out->level = (int)get_int(l, "compression.zstd.level");
    } else if (bytes_eq_str(type, "snappy")) {
        out->codec = CODEC_SNAPPY;
    } else if (bytes_eq_str(type, "uncompressed")) {
        out->codec = CODEC_NONE;
    } else {
        ASSERT(bytes_eq_str(type, "producer"));
    }
}

static void fill_log(const struct lookup *l, struct log_config *log)
{
    struct config_value internal = get(l, "internal.segment.bytes");
    struct config_value policy = get(l, "cleanup.policy");
    log->segment_bytes = internal.null ? get_int(l, "segment.bytes") : internal.integer;
    log->segment_ms = get_int(l, "segment.ms");
    log->segment_jitter_ms = get_int(l, "segment.jitter.ms");
    log->segment_index_bytes = get_int(l, "segment.index.bytes");
    log->index_interval_bytes = get_int(l, "index.interval.bytes");
    log->retention_ms = get_limit(l, "retention.ms");
    log->retention_bytes = get_limit(l, "retention.bytes");
    log->file_delete_delay_ms = get_int(l, "file.delete.delay.ms");
    log->flush_messages = get_int(l, "flush.messages");
    log->flush_ms = get_int(l, "flush.ms");
    log->max_compaction_lag_ms = get_int(l, "max.compaction.lag.ms");
    log->cleanup_delete = config_list_has(policy.text, "delete");
    log->cleanup_compact = config_list_has(policy.text, "compact");
    log->append_time = bytes_eq_str(get(l, "message.timestamp.type").text, "LogAppendTime");
    log->preallocate = get(l, "preallocate").boolean;
    if (l->c) {
        log->producer_id_expiration_ms =
            dynamic_config_int(l->c, l->img, "producer.id.expiration.ms");
    }
}

static void fill(const struct lookup *l, struct topic_config *out)
{
    *out = (struct topic_config){0};
    log_config_default(&out->log);
    fill_log(l, &out->log);
    fill_codec(l, out);
    out->timestamp_before_max_ms = get_int(l, "message.timestamp.before.max.ms");
    out->timestamp_after_max_ms = get_int(l, "message.timestamp.after.max.ms");
    out->max_message_bytes = (int32_t)get_int(l, "max.message.bytes");
    out->min_insync_replicas = (int32_t)get_int(l, "min.insync.replicas");
    out->unclean_leader_election = get(l, "unclean.leader.election.enable").boolean;
}

void topic_config_resolve(const struct config *c, const struct image *img, struct bytes topic,
                          struct topic_config *out)
{
    const struct image_config *own = img ? image_config(img, CONFIG_TOPIC, topic) : NULL;
    struct lookup l = {c, img, own ? own->entries : NULL, own ? own->n : 0};
    fill(&l, out);
}

void topic_config_default(struct topic_config *out)
{
    struct lookup l = {0};
    fill(&l, out);
}

/* ---- checking ---- */

static int16_t check_together(const struct lookup *l, struct errmsg *em)
{
    int64_t min_lag = get_int(l, "min.compaction.lag.ms");
    int64_t max_lag = get_int(l, "max.compaction.lag.ms");
    if (min_lag > max_lag) {
        errmsg_set(em, 0, "min.compaction.lag.ms=%lld is above max.compaction.lag.ms=%lld",
                   (long long)min_lag, (long long)max_lag);
        return KE_INVALID_CONFIG;
    }
    if (get(l, "remote.storage.enable").boolean) {
        errmsg_set(em, 0,
                   "remote.storage.enable=true needs remote.log.storage.system.enable on "
                   "the broker, which this version does not serve");
        return KE_INVALID_CONFIG;
    }
    return 0;
}

int16_t topic_config_check(const struct config *c, const struct image *img,
                           const struct image_config_entry *own, size_t n, struct errmsg *em)
{
    struct lookup l = {c, img, own, n};
    for (size_t i = 0; i < n; i++) {
        const struct config_def *d = config_find(&config_topic_table, own[i].name);
        struct config_value v;
        if (d == NULL) {
            errmsg_set(em, 0, "%.*s is no setting of a topic", BYTES_FMT(own[i].name));
            return KE_INVALID_CONFIG;
        }
        if (config_parse(d, own[i].value, &v, em)) {
            return KE_INVALID_CONFIG;
        }
    }
    return check_together(&l, em);
}
