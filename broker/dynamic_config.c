#include "broker/dynamic_config.h"

#include <stdio.h>

#include "base/assert.h"
#include "proto_errors.h"

/* Thread pools of Kafka's: a change may at most double or halve them. */
static const char *const pools[] = {
    "background.threads",
    "log.cleaner.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
};

static struct bytes broker_name(const struct config *c, char text[16])
{
    return bytes_of(text, (size_t)snprintf(text, 16, "%d", (int)c->node_id));
}

struct bytes dynamic_config_level(const struct config *c, const struct image *img, const char *name,
                                  enum config_source level)
{
    char id[16];
    struct bytes n = bytes_str(name);
    const struct config_def *d;
    switch (level) {
    case CONFIG_SOURCE_BROKER:
        return img ? image_config_value(img, CONFIG_BROKER, broker_name(c, id), n) : BYTES_NULL;
    case CONFIG_SOURCE_BROKER_DEFAULT:
        return img ? image_config_value(img, CONFIG_BROKER, bytes_str(""), n) : BYTES_NULL;
    case CONFIG_SOURCE_STATIC:
        return bytes_str(config_given_text(c, name));
    case CONFIG_SOURCE_DEFAULT:
        d = config_find(&config_broker_table, n);
        return d ? bytes_str(config_default_text(c, d)) : BYTES_NULL;
    default:
        UNREACHABLE();
    }
}

void dynamic_config_value(const struct config *c, const struct image *img,
                          const struct config_def *d, struct config_value *out,
                          enum config_source *source)
{
    for (enum config_source level = CONFIG_SOURCE_BROKER; level <= CONFIG_SOURCE_DEFAULT; level++) {
        struct bytes text = dynamic_config_level(c, img, d->name, level);
        if (!bytes_is_null(text) && config_parse(d, text, out, NULL) == 0) {
            if (source) {
                *source = level;
            }
            return;
        }
    }
    *out = (struct config_value){.null = true};
    if (source) {
        *source = CONFIG_SOURCE_DEFAULT;
    }
}

int64_t dynamic_config_int(const struct config *c, const struct image *img, const char *name)
{
    const struct config_def *d = config_find(&config_broker_table, bytes_str(name));
    struct config_value v;
    ASSERT(d && (d->type == CONFIG_INT || d->type == CONFIG_LONG || d->type == CONFIG_SHORT));
    dynamic_config_value(c, img, d, &v, NULL);
    return v.null ? CONFIG_NULL_LONG : v.integer;
}

struct bytes dynamic_config_text(const struct config *c, const struct image *img, const char *name)
{
    const struct config_def *d = config_find(&config_broker_table, bytes_str(name));
    struct config_value v;
    ASSERT(d && (d->type == CONFIG_STRING || d->type == CONFIG_LIST));
    dynamic_config_value(c, img, d, &v, NULL);
    return v.null ? BYTES_NULL : v.text;
}

bool dynamic_config_changed(const struct config *c, const struct image_delta *d)
{
    char id[16];
    struct bytes self = broker_name(c, id);
    for (uint32_t i = 0; i < d->configs_n; i++) {
        const struct image_config_change *ch = &d->configs[i];
        if (ch->type == CONFIG_BROKER && (ch->resource.len == 0 || bytes_eq(ch->resource, self))) {
            return true;
        }
    }
    return false;
}

bool dynamic_config_is_dynamic(const struct config_def *d)
{
    return d->update != CONFIG_READ_ONLY;
}

/* The name behind listener.name.NAME., or the name itself. */
static struct bytes without_listener(struct bytes name)
{
    static const char prefix[] = "listener.name.";
    size_t n = sizeof prefix - 1;
    if (name.len > n && memcmp(name.data, prefix, n) == 0) {
        const uint8_t *dot = memchr(name.data + n, '.', name.len - n);
        if (dot) {
            return bytes_of(dot + 1, name.len - 1 - (size_t)(dot - name.data));
        }
    }
    return name;
}

const struct config_def *dynamic_config_find(struct bytes name)
{
    const struct config_def *d = config_find(&config_broker_table, name);
    if (d == NULL) {
        d = config_find(&config_quota_table, name);
    }
    return d ? d : config_find(&config_broker_table, without_listener(name));
}

/* What listeners have of their own, and all brokers at once may be given. */
static bool is_listener_limit(const struct config_def *d)
{
    return strcmp(d->name, "max.connections") == 0 ||
           strcmp(d->name, "max.connection.creation.rate") == 0 ||
           strcmp(d->name, "num.network.threads") == 0;
}

/* What Kafka changes while it runs and this version cannot. */
static bool is_fixed_here(const struct config_def *d, bool prefixed)
{
    return d->sensitive || d->update == CONFIG_PER_BROKER || (prefixed && is_listener_limit(d));
}

static int16_t refuse_pool(const struct config *c, const struct image *img,
                           const struct config_def *d, int64_t wanted, struct errmsg *em)
{
    for (size_t i = 0; i < ARRAY_LEN(pools); i++) {
        if (strcmp(pools[i], d->name) == 0) {
            int64_t now = dynamic_config_int(c, img, d->name);
            if (wanted > 2 * now || wanted < (now + 1) / 2) {
                errmsg_set(em, 0, "%s=%lld: a change may at most double or halve the value, %lld",
                           d->name, (long long)wanted, (long long)now);
                return KE_INVALID_REQUEST;
            }
        }
    }
    return 0;
}

/* Rules beyond type and range, for a new whole number. */
static int16_t check_number(const struct config *c, const struct image *img,
                            const struct config_def *d, int64_t wanted, struct errmsg *em)
{
    if (wanted == 0 && strcmp(d->name, "log.retention.ms") == 0) {
        errmsg_set(em, 0,
                   "log.retention.ms=0 is not allowed; allowed: -1 (no limit), or at least 1");
        return KE_INVALID_REQUEST;
    }
    if (wanted == 0 && strcmp(d->name, "max.connections.per.ip") == 0 &&
        dynamic_config_text(c, img, "max.connections.per.ip.overrides").len == 0) {
        errmsg_set(em, 0,
                   "max.connections.per.ip=0 lets nobody in; allowed: at least 1, or 0 with "
                   "max.connections.per.ip.overrides");
        return KE_INVALID_REQUEST;
    }
    return refuse_pool(c, img, d, wanted, em);
}

/* Is it of a kind that can be changed while the broker runs? */
static int16_t check_kind(const struct config_def *d, struct bytes name, bool prefixed,
                          bool cluster_wide, struct errmsg *em)
{
    if (d && d->update == CONFIG_READ_ONLY && !prefixed) {
        errmsg_set(em, 0, "%.*s cannot be changed while the broker runs", BYTES_FMT(name));
        return KE_INVALID_REQUEST;
    }
    bool of_one = prefixed ? !d || !is_listener_limit(d) : d && d->update == CONFIG_PER_BROKER;
    if (cluster_wide && of_one) {
        errmsg_set(em, 0, "%.*s can only be set on one broker, not for all", BYTES_FMT(name));
        return KE_INVALID_REQUEST;
    }
    if (d && is_fixed_here(d, prefixed)) {
        errmsg_set(em, 0, "%.*s cannot be changed while the broker runs in this version",
                   BYTES_FMT(name));
        return KE_INVALID_REQUEST;
    }
    return 0;
}

int16_t dynamic_config_check(const struct config *c, const struct image *img, struct bytes name,
                             struct bytes value, bool cluster_wide, struct errmsg *em)
{
    const struct config_def *d = dynamic_config_find(name);
    bool prefixed = without_listener(name).data != name.data;
    struct config_value v;
    int16_t code = check_kind(d, name, prefixed, cluster_wide, em);
    if (code || d == NULL || bytes_is_null(value)) {
        return code; /* Kafka keeps names that it does not know: plugins may */
    }
    if (config_parse(d, value, &v, em)) {
        return KE_INVALID_REQUEST;
    }
    if (prefixed) {
        return 0; /* kept, and nobody asks for it */
    }
    if (strcmp(d->name, "max.connections.per.ip.overrides") == 0 &&
        config_check_per_ip(v.text, em)) {
        return KE_INVALID_REQUEST;
    }
    bool whole = d->type == CONFIG_INT || d->type == CONFIG_LONG;
    return whole ? check_number(c, img, d, v.integer, em) : 0;
}

int16_t dynamic_config_check_edit(struct bytes name, struct errmsg *em)
{
    const struct config_def *d = config_find(&config_broker_table, name);
    if (d == NULL || d->type != CONFIG_LIST) {
        errmsg_set(em, 0, "%.*s is no list: it can be set and deleted only", BYTES_FMT(name));
        return KE_INVALID_CONFIG;
    }
    return 0;
}
