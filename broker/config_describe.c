#include "broker/config_describe.h"

#include "broker/topic_config.h"
#include "proto/topic_name.h"
#include "proto_errors.h"
#include "proto_messages.h"

/* What all steps of one answer share. */
struct describe {
    const struct config *c;
    const struct image *img;
    const struct logger *lg;
    struct arena *a;
    bool synonyms;
    bool docs;
    const struct describe_configs_request_describe_configs_resource *res;
    struct describe_configs_response_describe_configs_result *out;
    size_t cap; /* of out->configs */
};

/* The generated names are long. */
#define ENTRY   struct describe_configs_response_describe_configs_resource_result
#define SYNONYM struct describe_configs_response_describe_configs_synonym

enum { SYNONYMS_MAX = 16 };
struct synonyms {
    SYNONYM v[SYNONYMS_MAX];
    size_t n;
};

/* ---- entries ---- */

static bool is_wanted(const struct describe *d, const char *name)
{
    const struct bytes *keys = d->res->configuration_keys;
    if (d->res->configuration_keys_n <= 0) {
        return true;
    }
    for (int32_t i = 0; i < d->res->configuration_keys_n; i++) {
        if (bytes_eq_str(keys[i], name)) {
            return true;
        }
    }
    return false;
}

static ENTRY *new_entry(struct describe *d, const char *name)
{
    struct describe_configs_response_describe_configs_result *out = d->out;
    if ((size_t)out->configs_n == d->cap) {
        size_t cap = d->cap ? 2 * d->cap : 64;
        ENTRY *v = proto_array(
            d->a, &describe_configs_response_describe_configs_resource_result_desc, cap);
        if (out->configs_n) {
            memcpy(v, out->configs, sizeof *v * (size_t)out->configs_n);
        }
        out->configs = v;
        d->cap = cap;
    }
    ENTRY *e = &out->configs[out->configs_n++];
    e->name = bytes_str(name);
    e->value = BYTES_NULL;
    e->documentation = BYTES_NULL;
    return e;
}

static void fill_entry(const struct describe *d, ENTRY *e, const struct config_def *def,
                       struct bytes value, const struct synonyms *s)
{
    e->value = def->sensitive ? BYTES_NULL : value;
    e->is_sensitive = def->sensitive;
    e->config_type = (int8_t)def->type;
    e->config_source = s->n ? s->v[0].source : CONFIG_SOURCE_DEFAULT;
    e->documentation = d->docs ? bytes_str(def->doc) : BYTES_NULL;
    if (d->synonyms && s->n) {
        e->synonyms =
            proto_array(d->a, &describe_configs_response_describe_configs_synonym_desc, s->n);
        memcpy(e->synonyms, s->v, sizeof *e->synonyms * s->n);
        e->synonyms_n = (int32_t)s->n;
    }
}

static struct bytes printed(const struct describe *d, const struct config_def *def,
                            const struct config_value *v)
{
    struct buf text = {0};
    if (v->null) {
        return BYTES_NULL;
    }
    config_print(def, v, &text);
    struct bytes out = bytes_of(arena_strndup(d->a, text.data, text.len), text.len);
    buf_free(&text);
    return out;
}

static void add_synonym(struct synonyms *s, const char *name, struct bytes value, bool sensitive,
                        enum config_source source)
{
    ASSERT(s->n < SYNONYMS_MAX);
    SYNONYM *y = &s->v[s->n++];
    proto_init(&describe_configs_response_describe_configs_synonym_desc, y);
    y->name = bytes_str(name);
    y->value = sensitive ? BYTES_NULL : value;
    y->source = (int8_t)source;
}

/* The broker settings behind a name, level by level. As in Kafka, what comes before the first
 * mention of `name` itself is dropped. */
static void add_broker_synonyms(const struct describe *d, struct synonyms *s, const char *name,
                                const struct config_synonym *behind, size_t n, bool sensitive)
{
    bool begun = false;
    for (enum config_source level = CONFIG_SOURCE_BROKER; level <= CONFIG_SOURCE_DEFAULT; level++) {
        for (size_t i = 0; i < n; i++) {
            struct bytes text = dynamic_config_level(d->c, d->img, behind[i].name, level);
            begun |= !bytes_is_null(text) && strcmp(behind[i].name, name) == 0;
            if (begun && !bytes_is_null(text)) {
                add_synonym(s, behind[i].name, text, sensitive, level);
            }
        }
    }
}

/* ---- resources ---- */

static void refuse(struct describe *d, int16_t code, const struct errmsg *em)
{
    d->out->error_code = code;
    d->out->configs_n = 0;
    if (em) {
        d->out->error_message = bytes_str(arena_strndup(d->a, em->text, strlen(em->text)));
    }
}

static void describe_topic(struct describe *d)
{
    struct bytes name = d->res->resource_name;
    struct errmsg em;
    if (!topic_name_is_valid(name, &em)) {
        refuse(d, KE_INVALID_TOPIC_EXCEPTION, &em);
        return;
    }
    if (image_topic_by_name(d->img, name) == NULL) {
        refuse(d, KE_UNKNOWN_TOPIC_OR_PARTITION, NULL);
        return;
    }
    const struct image_config *own = image_config(d->img, CONFIG_TOPIC, name);
    for (size_t i = 0; i < config_topic_table.n; i++) {
        const struct config_def *def = &config_topic_table.defs[i];
        struct synonyms s = {0};
        enum config_source source;
        struct bytes set = image_config_value(d->img, CONFIG_TOPIC, name, bytes_str(def->name));
        if (!is_wanted(d, def->name) || (def->internal && bytes_is_null(set))) {
            continue;
        }
        struct bytes value = topic_config_effective(d->c, d->img, def, own ? own->entries : NULL,
                                                    own ? own->n : 0, d->a, &source);
        if (!bytes_is_null(set)) {
            add_synonym(&s, def->name, value, def->sensitive, CONFIG_SOURCE_TOPIC);
        }
        if (def->synonyms_n) {
            add_broker_synonyms(d, &s, def->synonyms[0].name, def->synonyms, def->synonyms_n,
                                def->sensitive);
        }
        fill_entry(d, new_entry(d, def->name), def, value, &s);
    }
}

static bool is_set_somewhere(const struct describe *d, const char *name)
{
    for (enum config_source level = CONFIG_SOURCE_BROKER; level < CONFIG_SOURCE_DEFAULT; level++) {
        if (!bytes_is_null(dynamic_config_level(d->c, d->img, name, level))) {
            return true;
        }
    }
    return false;
}

static void describe_broker_setting(struct describe *d, const struct config_def *def)
{
    struct synonyms s = {0};
    struct config_value v;
    struct config_synonym self = {def->name, 1};
    dynamic_config_value(d->c, d->img, def, &v, NULL);
    add_broker_synonyms(d, &s, def->name, def->synonyms_n ? def->synonyms : &self,
                        def->synonyms_n ? def->synonyms_n : 1, def->sensitive);
    ENTRY *e = new_entry(d, def->name);
    fill_entry(d, e, def, printed(d, def, &v), &s);
    e->read_only = !dynamic_config_is_dynamic(def);
}

/* Names that nobody knows are kept to themselves: they may be a plugin's password. */
static void describe_unknown(struct describe *d, const char *name)
{
    struct synonyms s = {0};
    struct config_synonym self = {name, 1};
    struct config_def def = {.name = name, .sensitive = true};
    add_broker_synonyms(d, &s, name, &self, 1, true);
    ENTRY *e = new_entry(d, name);
    fill_entry(d, e, &def, BYTES_NULL, &s);
    e->read_only = true;
    e->documentation = BYTES_NULL;
}

/* A name that the table of settings lacks and the image has: a quota, or one that nobody knows. */
static void describe_dynamic_only(struct describe *d, struct bytes n)
{
    const char *name = arena_strndup(d->a, n.data, n.len);
    const struct config_def *def = dynamic_config_find(n);
    struct config_synonym self = {name, 1};
    struct config_value v;
    struct synonyms s = {0};
    if (!is_wanted(d, name) || config_find(&config_broker_table, n)) {
        return;
    }
    if (def == NULL) {
        if (!config_given_text(d->c, name)) {
            describe_unknown(d, name);
        }
        return;
    }
    add_broker_synonyms(d, &s, name, &self, 1, def->sensitive);
    if (s.n > 0 && config_parse(def, s.v[0].value, &v, NULL) == 0) {
        fill_entry(d, new_entry(d, name), def, printed(d, def, &v), &s);
    }
}

static void describe_dynamic_names(struct describe *d)
{
    const struct image_config *own = image_config(d->img, CONFIG_BROKER, d->res->resource_name);
    const struct image_config *all = image_config(d->img, CONFIG_BROKER, bytes_str(""));
    for (uint32_t i = 0; own && i < own->n; i++) {
        describe_dynamic_only(d, own->entries[i].name);
    }
    for (uint32_t i = 0; all && i < all->n; i++) {
        if (bytes_is_null(image_config_value(d->img, CONFIG_BROKER, d->res->resource_name,
                                             all->entries[i].name))) {
            describe_dynamic_only(d, all->entries[i].name);
        }
    }
}

/* What is set for all brokers, and nothing else. */
static void describe_cluster_wide(struct describe *d)
{
    const struct image_config *set = image_config(d->img, CONFIG_BROKER, bytes_str(""));
    for (uint32_t i = 0; set && i < set->n; i++) {
        struct bytes n = set->entries[i].name;
        const char *name = arena_strndup(d->a, n.data, n.len);
        const struct config_def *def = dynamic_config_find(n);
        struct config_value v = {.null = true};
        struct synonyms s = {0};
        if (!is_wanted(d, name)) {
            continue;
        }
        if (def == NULL) {
            describe_unknown(d, name);
            continue;
        }
        add_synonym(&s, name, set->entries[i].value, def->sensitive, CONFIG_SOURCE_BROKER_DEFAULT);
        if (config_parse(def, set->entries[i].value, &v, NULL) == 0) {
            fill_entry(d, new_entry(d, name), def, printed(d, def, &v), &s);
        }
    }
}

static void describe_broker(struct describe *d)
{
    for (size_t i = 0; i < config_broker_table.n; i++) {
        const struct config_def *def = &config_broker_table.defs[i];
        bool hidden = (def->internal || def->ours) && !is_set_somewhere(d, def->name);
        if (!hidden && is_wanted(d, def->name)) {
            describe_broker_setting(d, def);
        }
    }
    const char *name;
    for (size_t i = 0; (name = config_given(d->c, i)) != NULL; i++) {
        if (config_find(&config_broker_table, bytes_str(name)) == NULL && is_wanted(d, name)) {
            describe_unknown(d, name);
        }
    }
    describe_dynamic_names(d);
}

int64_t config_node_id(struct bytes text)
{
    int64_t v = 0;
    if (text.len == 0 || text.len > 10) {
        return -1;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return -1;
        }
        v = v * 10 + (text.data[i] - '0');
    }
    return v;
}

static bool is_this_node(struct describe *d)
{
    struct errmsg em;
    int64_t id = config_node_id(d->res->resource_name);
    if (id == d->c->node_id) {
        return true;
    }
    errmsg_set(&em, 0, "this is broker %d: it cannot tell the settings of broker `%.*s`",
               (int)d->c->node_id, BYTES_FMT(d->res->resource_name));
    refuse(d, KE_INVALID_REQUEST, &em);
    return false;
}

/* Groups and client metrics: what is set, over a broker's setting or the default. */
static void describe_simple(struct describe *d, const struct config_table *t, int8_t type,
                            enum config_source own_source)
{
    struct bytes name = d->res->resource_name;
    for (size_t i = 0; i < t->n; i++) {
        const struct config_def *def = &t->defs[i];
        struct bytes set = image_config_value(d->img, type, name, bytes_str(def->name));
        struct config_value v = {.null = true};
        struct synonyms s = {0};
        if (!is_wanted(d, def->name)) {
            continue;
        }
        if (!bytes_is_null(set) && config_parse(def, set, &v, NULL) == 0) {
            add_synonym(&s, def->name, set, false, own_source);
        } else if (def->synonyms_n) {
            const struct config_def *b =
                config_find(&config_broker_table, bytes_str(def->synonyms[0].name));
            dynamic_config_value(d->c, d->img, b, &v, NULL);
        } else {
            int rc = config_parse(def, bytes_str(def->def), &v, NULL);
            ASSERT(rc == 0);
        }
        if (def->synonyms_n) {
            add_broker_synonyms(d, &s, def->synonyms[0].name, def->synonyms, def->synonyms_n,
                                false);
        } else if (type == CONFIG_GROUP) {
            add_synonym(&s, def->name, bytes_str(def->def), false, CONFIG_SOURCE_DEFAULT);
        }
        fill_entry(d, new_entry(d, def->name), def, printed(d, def, &v), &s);
    }
}

static void need_name(struct describe *d, const char *what)
{
    struct errmsg em;
    errmsg_set(&em, 0, "a %s has a name", what);
    refuse(d, KE_INVALID_REQUEST, &em);
}

/* The server's log has one logger. */
static void describe_loggers(struct describe *d)
{
    if (is_wanted(d, "root")) {
        ENTRY *e = new_entry(d, "root");
        e->value = bytes_str(config_level_name(d->lg ? (int)log_level_of(d->lg) : LOG_INFO));
        e->config_source = CONFIG_SOURCE_LOGGER;
        e->documentation = bytes_str("");
    }
}

static void describe_resource(struct describe *d)
{
    struct bytes name = d->res->resource_name;
    d->out->resource_type = d->res->resource_type;
    d->out->resource_name = name;
    d->out->error_message = bytes_str("");
    switch (d->res->resource_type) {
    case CONFIG_TOPIC:
        describe_topic(d);
        return;
    case CONFIG_BROKER:
        if (name.len == 0) {
            describe_cluster_wide(d);
        } else if (is_this_node(d)) {
            describe_broker(d);
        }
        return;
    case CONFIG_BROKER_LOGGER:
        if (is_this_node(d)) {
            describe_loggers(d);
        }
        return;
    case CONFIG_CLIENT_METRICS:
        if (name.len == 0) {
            need_name(d, "client metrics subscription");
            return;
        }
        describe_simple(d, &config_client_metrics_table, CONFIG_CLIENT_METRICS,
                        CONFIG_SOURCE_CLIENT_METRICS);
        return;
    case CONFIG_GROUP:
        if (name.len == 0) {
            need_name(d, "group");
            return;
        }
        describe_simple(d, &config_group_table, CONFIG_GROUP, CONFIG_SOURCE_GROUP);
        return;
    default:
        UNREACHABLE(); /* refused before */
    }
}

static bool has_settings(int8_t type)
{
    return type == CONFIG_TOPIC || type == CONFIG_BROKER || type == CONFIG_BROKER_LOGGER ||
           type == CONFIG_CLIENT_METRICS || type == CONFIG_GROUP;
}

/* A type that is none makes Kafka refuse the whole request. */
static bool refuse_types(const struct describe_configs_request *req, struct arena *a,
                         struct describe_configs_response *resp)
{
    int32_t bad = 0;
    while (bad < req->resources_n && has_settings(req->resources[bad].resource_type)) {
        bad++;
    }
    if (bad >= req->resources_n) {
        return false;
    }
    const char *text =
        arena_printf(a, "resource type %d has no settings", (int)req->resources[bad].resource_type);
    for (int32_t i = 0; i < req->resources_n; i++) {
        struct describe_configs_response_describe_configs_result *out =
            &resp->results[resp->results_n++];
        out->resource_type = req->resources[i].resource_type;
        out->resource_name = req->resources[i].resource_name;
        out->error_code = KE_INVALID_REQUEST;
        out->error_message = bytes_str(text);
    }
    return true;
}

void config_describe(const struct config *c, const struct image *img, const struct logger *lg,
                     const struct describe_configs_request *req, struct arena *a,
                     struct describe_configs_response *resp)
{
    resp->results = proto_array(a, &describe_configs_response_describe_configs_result_desc,
                                (size_t)(req->resources_n > 0 ? req->resources_n : 0));
    if (refuse_types(req, a, resp)) {
        return;
    }
    for (int32_t i = 0; i < req->resources_n; i++) {
        struct describe d = {
            .c = c,
            .img = img,
            .lg = lg,
            .a = a,
            .synonyms = req->include_synonyms,
            .docs = req->include_documentation,
            .res = &req->resources[i],
            .out = &resp->results[resp->results_n++],
        };
        describe_resource(&d);
    }
}

/* ---- levels ---- */

const char *config_level_name(int level)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    ASSERT(level >= 0 && level < (int)ARRAY_LEN(names));
    return names[level];
}

int config_level_parse(struct bytes name)
{
    static const struct {
        const char *name;
        enum log_level level;
    } levels[] = {
        {"TRACE", LOG_DEBUG}, {"DEBUG", LOG_DEBUG}, {"INFO", LOG_INFO},
        {"WARN", LOG_WARN},   {"ERROR", LOG_ERROR}, {"FATAL", LOG_ERROR},
    };
    for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
        if (bytes_eq_str(name, levels[i].name)) {
            return (int)levels[i].level;
        }
    }
    return -1;
}
