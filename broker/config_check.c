#include "broker/config_check.h"

#include <stdio.h>

#include "broker/config_describe.h"
#include "broker/topic_config.h"
#include "proto/topic_name.h"
#include "proto_errors.h"

/* ---- groups ---- */

/* group.KIND.min.REST, group.KIND.max.REST: the bounds that brokers set for KIND.REST. */
static bool bound_of(const struct config *c, const struct image *img, struct bytes name,
                     const char *which, char *text, size_t size, int64_t *out)
{
    const uint8_t *dot = memchr(name.data, '.', name.len);
    ASSERT(dot);
    size_t kind = (size_t)(dot - name.data);
    const char *rest = (const char *)dot + 1;
    size_t rest_n = name.len - kind - 1;
    if (rest_n > 4 && memcmp(rest, "num.", 4) == 0) {
        rest += 4;
        rest_n -= 4;
    }
    snprintf(text, size, "group.%.*s.%s.%.*s", (int)kind, (const char *)name.data, which,
             (int)rest_n, rest);
    if (config_find(&config_broker_table, bytes_str(text)) == NULL) {
        return false;
    }
    *out = dynamic_config_int(c, img, text);
    return true;
}

static int16_t check_group_entry(const struct config *c, const struct image *img,
                                 const struct image_config_entry *e, struct errmsg *em)
{
    const struct config_def *d = config_find(&config_group_table, e->name);
    struct config_value v;
    char bound[128];
    int64_t limit;
    if (d == NULL) {
        errmsg_set(em, 0, "%.*s is no setting of a group", BYTES_FMT(e->name));
        return KE_INVALID_CONFIG;
    }
    if (config_parse(d, e->value, &v, em)) {
        return KE_INVALID_CONFIG;
    }
    if (d->type != CONFIG_INT) {
        return 0;
    }
    if (bound_of(c, img, e->name, "min", bound, sizeof bound, &limit) && v.integer < limit) {
        errmsg_set(em, 0, "%s=%lld must be at least %s=%lld", d->name, (long long)v.integer, bound,
                   (long long)limit);
        return KE_INVALID_CONFIG;
    }
    if (bound_of(c, img, e->name, "max", bound, sizeof bound, &limit) && v.integer > limit) {
        errmsg_set(em, 0, "%s=%lld must be at most %s=%lld", d->name, (long long)v.integer, bound,
                   (long long)limit);
        return KE_INVALID_CONFIG;
    }
    return 0;
}

static int64_t group_value(const struct config *c, const struct image *img,
                           const struct image_config_entry *entries, size_t n, const char *name)
{
    const struct config_def *d = config_find(&config_group_table, bytes_str(name));
    struct config_value v;
    for (size_t i = 0; i < n; i++) {
        if (bytes_eq_str(entries[i].name, name) &&
            config_parse(d, entries[i].value, &v, NULL) == 0) {
            return v.integer;
        }
    }
    return dynamic_config_int(c, img, d->synonyms[0].name);
}

static int16_t check_group(const struct config *c, const struct image *img,
                           const struct image_config_entry *entries, size_t n, struct errmsg *em)
{
    static const char *const kinds[] = {"consumer", "share", "streams"};
    for (size_t i = 0; i < n; i++) {
        int16_t code = check_group_entry(c, img, &entries[i], em);
        if (code) {
            return code;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        char session[64];
        char heartbeat[64];
        snprintf(session, sizeof session, "%s.session.timeout.ms", kinds[i]);
        snprintf(heartbeat, sizeof heartbeat, "%s.heartbeat.interval.ms", kinds[i]);
        if (group_value(c, img, entries, n, session) <=
            group_value(c, img, entries, n, heartbeat)) {
            errmsg_set(em, 0, "%s must be above %s", session, heartbeat);
            return KE_INVALID_CONFIG;
        }
    }
    return 0;
}

/* ---- client metrics ---- */

static int16_t check_match(struct bytes list, struct errmsg *em)
{
    static const char *const keys[] = {"client_instance_id",    "client_id",
                                       "client_software_name",  "client_software_version",
                                       "client_source_address", "client_source_port"};
    struct config_list l = config_list_start(list);
    struct bytes e;
    while (config_list_next(&l, &e)) {
        const uint8_t *eq = e.len ? memchr(e.data, '=', e.len) : NULL;
        size_t n = eq ? (size_t)(eq - e.data) : 0;
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
            known |= bytes_eq_str(bytes_of(e.data, n), keys[i]);
        }
        if (!known || n + 1 == e.len) {
            errmsg_set(em, 0, "match: `%.*s` is not KEY=PATTERN with a KEY of a client",
                       BYTES_FMT(e));
            return KE_INVALID_CONFIG;
        }
    }
    return 0;
}

static int16_t check_metrics_entry(const struct image_config_entry *e, struct errmsg *em)
{
    const struct config_def *d = config_find(&config_client_metrics_table, e->name);
    struct config_value v;
    if (d == NULL) {
        errmsg_set(em, 0, "%.*s is no setting of a client metrics subscription",
                   BYTES_FMT(e->name));
        return KE_INVALID_REQUEST;
    }
    if (config_parse(d, e->value, &v, em)) {
        return KE_INVALID_CONFIG;
    }
    if (d->type == CONFIG_INT && (v.integer < 100 || v.integer > 3600000)) {
        errmsg_set(em, 0, "%s=%lld is not allowed; allowed: 100 to 3600000", d->name,
                   (long long)v.integer);
        return KE_INVALID_REQUEST;
    }
    return bytes_eq_str(e->name, "match") ? check_match(v.text, em) : 0;
}

/* ---- brokers ---- */

static bool is_broker_name(struct bytes name)
{
    bool digits = name.len <= 10;
    for (size_t i = 0; digits && i < name.len; i++) {
        digits = name.data[i] >= '0' && name.data[i] <= '9';
    }
    return digits; /* empty: all brokers */
}

/* Only what changes is judged: what stands there was judged before. */
static int16_t check_broker(const struct config *c, const struct image *img, struct bytes name,
                            const struct image_config_entry *entries, size_t n, const bool *changed,
                            struct errmsg *em)
{
    if (!is_broker_name(name)) {
        errmsg_set(em, 0, "`%.*s` is no broker id", BYTES_FMT(name));
        return KE_INVALID_REQUEST;
    }
    for (size_t i = 0; i < n; i++) {
        int16_t code = changed[i] ? dynamic_config_check(c, img, entries[i].name, entries[i].value,
                                                         name.len == 0, em)
                                  : 0;
        if (code) {
            return code;
        }
    }
    return 0;
}

/* ---- the controller's questions ---- */

static int16_t need_name(struct bytes name, const char *what, struct errmsg *em)
{
    if (name.len == 0) {
        errmsg_set(em, 0, "settings for all %s cannot be set this way: name one", what);
        return KE_INVALID_REQUEST;
    }
    return 0;
}

static int16_t validate(void *ctx, const struct image *img, int8_t type, struct bytes resource,
                        const struct image_config_entry *entries, size_t n, const bool *changed,
                        struct errmsg *em)
{
    const struct config *c = ctx;
    int16_t code = 0;
    switch (type) {
    case CONFIG_TOPIC:
        code = need_name(resource, "topics", em);
        if (code == 0 && !topic_name_is_valid(resource, em)) {
            code = KE_INVALID_TOPIC_EXCEPTION;
        }
        return code ? code : topic_config_check(c, img, entries, n, em);
    case CONFIG_BROKER:
        return check_broker(c, img, resource, entries, n, changed, em);
    case CONFIG_GROUP:
        code = need_name(resource, "groups", em);
        return code ? code : check_group(c, img, entries, n, em);
    case CONFIG_CLIENT_METRICS:
        code = need_name(resource, "client metrics subscriptions", em);
        for (size_t i = 0; code == 0 && i < n; i++) {
            code = check_metrics_entry(&entries[i], em);
        }
        return code;
    default:
        errmsg_set(em, 0, "resource type %d has no settings that can be changed", (int)type);
        return KE_INVALID_REQUEST;
    }
}

static bool is_list(void *ctx, const struct image *img, int8_t type, struct bytes name,
                    struct arena *a, struct bytes *inherited)
{
    const struct config_def *d = type == CONFIG_TOPIC    ? config_find(&config_topic_table, name)
                                 : type == CONFIG_BROKER ? dynamic_config_find(name)
                                                         : NULL; /* Kafka edits no others */
    enum config_source source;
    if (d == NULL || d->type != CONFIG_LIST) {
        return false;
    }
    *inherited = bytes_str(d->def);
    if (type == CONFIG_TOPIC) {
        *inherited = topic_config_effective(ctx, img, d, NULL, 0, a, &source);
    }
    return true;
}

static size_t effective_topic(void *ctx, const struct image *img,
                              const struct image_config_entry *own, size_t n, struct arena *a,
                              const struct config_effective **out)
{
    const struct config_table *t = &config_topic_table;
    struct config_effective *v = ARENA_ARRAY(a, struct config_effective, t->n);
    size_t count = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct config_def *d = &t->defs[i];
        enum config_source source;
        struct bytes value = topic_config_effective(ctx, img, d, own, n, a, &source);
        if (d->internal && source != CONFIG_SOURCE_TOPIC) {
            continue;
        }
        v[count++] = (struct config_effective){
            .name = bytes_str(d->name),
            .value = d->sensitive ? BYTES_NULL : value,
            .sensitive = d->sensitive,
            .source = (int8_t)source,
        };
    }
    *out = v;
    return count;
}

static void describe(void *ctx, const struct image *img, int16_t version, const void *request,
                     struct arena *a, void *response)
{
    UNUSED(version);
    config_describe(ctx, img, NULL, request, a, response);
}

void config_check_init(struct config_validator *v, const struct config *c)
{
    v->ctx = (void *)(uintptr_t)c;
    v->validate = validate;
    v->is_list = is_list;
    v->effective_topic = effective_topic;
    v->describe = describe;
}
