/* Throttles of moves: see reassignment.h. What is limited is named twice: topics list the replicas
 * that a move reads from and writes to, brokers have the rates at which they serve and fetch those.
 * A broker's own settings can only be set through it, since it checks them; through controllers
 * they go to the active one. */
#include <stdio.h>
#include <stdlib.h>

#include "proto_apis.h"
#include "proto_errors.h"
#include "tools/reassignment.h"

enum { BATCH = 500 };
enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { OP_SET = 0, OP_DELETE = 1 };
enum { SOURCE_TOPIC = 1, SOURCE_BROKER = 2 };

#define alter_request  struct incremental_alter_configs_request
#define alter_resource struct incremental_alter_configs_request_alter_configs_resource
#define alter_config   struct incremental_alter_configs_request_alterable_config
#define config_result  struct describe_configs_response_describe_configs_result

#define LEADER_RATE       "leader.replication.throttled.rate"
#define FOLLOWER_RATE     "follower.replication.throttled.rate"
#define DIRS_RATE         "replica.alter.log.dirs.io.max.bytes.per.second"
#define LEADER_REPLICAS   "leader.replication.throttled.replicas"
#define FOLLOWER_REPLICAS "follower.replication.throttled.replicas"

static const char *const broker_settings[] = {LEADER_RATE, FOLLOWER_RATE, DIRS_RATE};
static const char *const topic_settings[] = {LEADER_REPLICAS, FOLLOWER_REPLICAS};

/* ---- the plan ---- */

/* "0:1" of one topic, and whether it sends or receives. */
struct mark {
    const char *text;
    bool receives;
};

struct marks {
    struct arena *arena;
    struct mark *v;
    size_t n;
    struct throttle_plan *plan;
};

static void put_broker(struct throttle_plan *p, int32_t id)
{
    if (!id_in(p->brokers, p->brokers_n, id)) {
        p->brokers[p->brokers_n++] = id;
    }
}

static void put_mark(struct marks *m, int32_t partition, int32_t broker, bool receives)
{
    m->v[m->n++] = (struct mark){arena_printf(m->arena, "%d:%d", partition, broker), receives};
    put_broker(m->plan, broker);
}

/* Who has it sends it; who has it not, and shall, receives it. target is NULL for what moves
 * already and is not asked for anew. */
static void put_partition(struct marks *m, const struct replica_set *moving,
                          const struct replica_set *target, const struct replica_set *now)
{
    const struct replica_set *has = moving ? moving : now;
    const struct replica_set *any = target ? target : moving;
    for (int32_t i = 0; has && i < has->replicas_n; i++) {
        if (!id_in(has->adding, has->adding_n, has->replicas[i])) {
            put_mark(m, any->partition, has->replicas[i], false);
        }
    }
    const int32_t *to = target ? target->replicas : moving->adding;
    int32_t n = target ? target->replicas_n : moving->adding_n;
    for (int32_t i = 0; i < n; i++) {
        bool sends = has && id_in(has->replicas, has->replicas_n, to[i]) &&
                     !id_in(has->adding, has->adding_n, to[i]);
        if (!sends) {
            put_mark(m, any->partition, to[i], true);
        }
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct mark *)a)->text, ((const struct mark *)b)->text);
}

static const char *join(struct marks *m, bool receives)
{
    struct buf b = {0};
    const char *last = "";
    for (size_t i = 0; i < m->n; i++) {
        if (m->v[i].receives == receives && strcmp(last, m->v[i].text) != 0) {
            buf_printf(&b, "%s%s", b.len ? "," : "", m->v[i].text);
            last = m->v[i].text;
        }
    }
    const char *text = arena_strndup(m->arena, buf_cstr(&b), b.len);
    buf_free(&b);
    return text;
}

static void end_topic(struct marks *m, struct bytes topic)
{
    if (m->n) {
        qsort(m->v, m->n, sizeof *m->v, by_text);
    }
    m->plan->topics[m->plan->topics_n++] =
        (struct throttled_topic){topic, join(m, false), join(m, true)};
    m->n = 0;
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static size_t marks_max(const struct replica_sets *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        n += (size_t)s->v[i].replicas_n;
    }
    return n;
}

void throttle_plan(struct arena *a, const struct replica_sets *ongoing,
                   const struct replica_sets *targets, const struct replica_sets *current,
                   struct throttle_plan *out)
{
    *out = (struct throttle_plan){0};
    size_t max = marks_max(ongoing) + marks_max(targets) + marks_max(current);
    struct marks m = {.arena = a, .plan = out};
    m.v = ARENA_ARRAY(a, struct mark, max + 1);
    out->brokers = ARENA_ARRAY(a, int32_t, max + 1);
    out->topics = ARENA_ARRAY(a, struct throttled_topic, ongoing->n + targets->n + 1);
    struct bytes topic = BYTES_NULL;
    for (size_t i = 0, k = 0; i < ongoing->n || k < targets->n;) {
        const struct replica_set *o = i < ongoing->n ? &ongoing->v[i] : NULL;
        const struct replica_set *t = k < targets->n ? &targets->v[k] : NULL;
        int cmp = !o ? 1 : !t ? -1 : replica_set_cmp(o, t);
        const struct replica_set *next = cmp <= 0 ? o : t;
        if (!bytes_is_null(topic) && !bytes_eq(topic, next->topic)) {
            end_topic(&m, topic);
        }
        topic = next->topic;
        put_partition(&m, cmp <= 0 ? o : NULL, cmp >= 0 ? t : NULL,
                      replica_set_find(current, next->topic, next->partition));
        i += cmp <= 0;
        k += cmp >= 0;
    }
    if (!bytes_is_null(topic)) {
        end_topic(&m, topic);
    }
    if (out->brokers_n) {
        qsort(out->brokers, out->brokers_n, sizeof *out->brokers, by_id);
    }
}

/* ---- setting and taking off ---- */

static void resource_begin(struct arena *a, alter_resource *r, int8_t type, struct bytes name,
                           size_t settings)
{
    r->resource_type = type;
    r->resource_name = name;
    r->configs = proto_array(a, &incremental_alter_configs_request_alterable_config_desc, settings);
    r->configs_n = 0;
}

/* value NULL: back to the default. */
static void resource_put(alter_resource *r, const char *name, const char *value)
{
    alter_config *s = &r->configs[r->configs_n++];
    s->name = bytes_str(name);
    s->config_operation = value ? OP_SET : OP_DELETE;
    s->value = bytes_str(value);
}

/* A resource that is answered with `passed` is passed over; 0: none is. */
static int ask_to_alter(struct client *c, int32_t node, alter_resource *v, size_t n, int16_t passed,
                        bool validate_only)
{
    alter_request req;
    struct incremental_alter_configs_response *resp;
    proto_msg_init(&incremental_alter_configs_request_msg, &req);
    req.resources = v;
    req.resources_n = (int32_t)n;
    req.validate_only = validate_only;
    int rv = client_call(c, node, API_INCREMENTAL_ALTER_CONFIGS, &req, (void **)&resp, NULL);
    for (int32_t i = 0; rv == 0 && i < resp->responses_n; i++) {
        int16_t code = resp->responses[i].error_code;
        if (code && code != passed) {
            rv = client_refused(c, code, resp->responses[i].error_message);
        }
    }
    return rv;
}

static int alter(struct client *c, int32_t node, alter_resource *v, size_t n, int16_t passed)
{
    return ask_to_alter(c, node, v, n, passed, false);
}

static int alter_broker(struct client *c, int32_t broker, const char *const *names, size_t names_n,
                        const char *value)
{
    alter_resource *r =
        proto_array(&c->arena, &incremental_alter_configs_request_alter_configs_resource_desc, 1);
    resource_begin(&c->arena, r, RESOURCE_BROKER, bytes_str(arena_printf(&c->arena, "%d", broker)),
                   names_n);
    for (size_t i = 0; i < names_n; i++) {
        resource_put(r, names[i], value);
    }
    return alter(c, c->controllers ? CLIENT_ANY : broker, r, 1, 0);
}

/* The same settings of each broker; value NULL: back to the default. One that cannot be asked does
 * not spare the others; the first that could not is told of. */
static int alter_brokers(struct client *c, const int32_t *brokers, size_t n,
                         const char *const *names, size_t names_n, const char *value)
{
    struct errmsg first;
    int rv = 0;
    for (size_t i = 0; i < n; i++) {
        int err = alter_broker(c, brokers[i], names, names_n, value);
        if (err && rv == 0) {
            errmsg_set(&first, rv = err, "Broker %d has the throttles that it had: %.300s",
                       brokers[i], c->error.text);
        }
    }
    if (rv) {
        c->error = first;
    }
    return rv;
}

int throttle_set(struct client *c, const struct throttle_plan *p, int64_t bytes_per_s)
{
    int rv = 0;
    for (size_t i = 0; i < p->topics_n && rv == 0; i += BATCH) {
        size_t n = p->topics_n - i < BATCH ? p->topics_n - i : BATCH;
        alter_resource *v = proto_array(
            &c->arena, &incremental_alter_configs_request_alter_configs_resource_desc, n);
        for (size_t k = 0; k < n; k++) {
            resource_begin(&c->arena, &v[k], RESOURCE_TOPIC, p->topics[i + k].topic, 2);
            resource_put(&v[k], LEADER_REPLICAS, p->topics[i + k].leader);
            resource_put(&v[k], FOLLOWER_REPLICAS, p->topics[i + k].follower);
        }
        rv = alter(c, CLIENT_ANY, v, n, KE_UNKNOWN_TOPIC_OR_PARTITION);
    }
    return rv ? rv
              : alter_brokers(c, p->brokers, p->brokers_n, broker_settings, 2,
                              arena_printf(&c->arena, "%lld", (long long)bytes_per_s));
}

int throttle_set_dirs(struct client *c, const int32_t *brokers, size_t n, int64_t bytes_per_s)
{
    return alter_brokers(c, brokers, n, broker_settings + 2, 1,
                         arena_printf(&c->arena, "%lld", (long long)bytes_per_s));
}

int throttle_clear_brokers(struct client *c, const int32_t *brokers, size_t n)
{
    return alter_brokers(c, brokers, n, broker_settings, 3, NULL);
}

static int clear_topics(struct client *c, const struct bytes *topics, size_t n, bool validate_only)
{
    int rv = 0;
    for (size_t i = 0; i < n && rv == 0; i += BATCH) {
        size_t part = n - i < BATCH ? n - i : BATCH;
        alter_resource *v = proto_array(
            &c->arena, &incremental_alter_configs_request_alter_configs_resource_desc, part);
        for (size_t k = 0; k < part; k++) {
            resource_begin(&c->arena, &v[k], RESOURCE_TOPIC, topics[i + k], 2);
            resource_put(&v[k], LEADER_REPLICAS, NULL);
            resource_put(&v[k], FOLLOWER_REPLICAS, NULL);
        }
        rv = ask_to_alter(c, CLIENT_ANY, v, part, 0, validate_only);
    }
    return rv;
}

int throttle_clear_topics(struct client *c, const struct bytes *topics, size_t n)
{
    return clear_topics(c, topics, n, false);
}

int throttle_check(struct client *c, const int32_t *brokers, size_t brokers_n,
                   const struct bytes *topics, size_t topics_n)
{
    int rv = clear_topics(c, topics, topics_n, true);
    for (size_t i = 0; i < brokers_n && rv == 0; i++) {
        alter_resource *r = proto_array(
            &c->arena, &incremental_alter_configs_request_alter_configs_resource_desc, 1);
        resource_begin(&c->arena, r, RESOURCE_BROKER,
                       bytes_str(arena_printf(&c->arena, "%d", brokers[i])), 1);
        resource_put(r, FOLLOWER_RATE, NULL);
        rv = ask_to_alter(c, CLIENT_ANY, r, 1, 0, true);
    }
    return rv;
}

/* ---- what is set ---- */

/* The digits at *at, which is moved behind them; -1: there is no number. */
static int32_t read_number(struct bytes list, size_t *at)
{
    int64_t n = -1;
    for (; *at < list.len && list.data[*at] >= '0' && list.data[*at] <= '9'; ++*at) {
        n = (n < 0 ? 0 : n) * 10 + (list.data[*at] - '0');
        if (n > INT32_MAX) {
            return -1;
        }
    }
    return (int32_t)n;
}

static bool read_char(struct bytes list, size_t *at, char c)
{
    bool there = *at < list.len && list.data[*at] == (uint8_t)c;
    *at += there;
    return there;
}

bool throttle_marks_read(struct arena *a, struct bytes list, struct throttle_marks *out)
{
    *out = (struct throttle_marks){.v = ARENA_ARRAY(a, struct throttle_mark, list.len / 3 + 1)};
    for (size_t at = 0; at < list.len;) {
        struct throttle_mark *m = &out->v[out->n++];
        m->partition = read_number(list, &at);
        bool colon = read_char(list, &at, ':');
        m->broker = colon ? read_number(list, &at) : -1;
        if (m->partition < 0 || m->broker < 0 || (!read_char(list, &at, ',') && at < list.len)) {
            return false;
        }
    }
    return true;
}

/* Has it a setting of its own that says something? */
static bool is_throttled(const config_result *r, int8_t source)
{
    for (int32_t i = 0; r->error_code == 0 && i < r->configs_n; i++) {
        if (r->configs[i].config_source == source && r->configs[i].value.len) {
            return true;
        }
    }
    return false;
}

static int describe(struct client *c, int32_t node, int8_t type, const struct bytes *names,
                    size_t n, const char *const *settings, size_t settings_n,
                    struct describe_configs_response **resp)
{
    struct describe_configs_request req;
    proto_msg_init(&describe_configs_request_msg, &req);
    req.resources =
        proto_array(&c->arena, &describe_configs_request_describe_configs_resource_desc, n);
    req.resources_n = (int32_t)n;
    struct bytes *keys = ARENA_ARRAY(&c->arena, struct bytes, settings_n);
    for (size_t i = 0; i < settings_n; i++) {
        keys[i] = bytes_str(settings[i]);
    }
    for (size_t i = 0; i < n; i++) {
        req.resources[i].resource_type = type;
        req.resources[i].resource_name = names[i];
        req.resources[i].configuration_keys = keys;
        req.resources[i].configuration_keys_n = (int32_t)settings_n;
    }
    return client_call(c, node, API_DESCRIBE_CONFIGS, &req, (void **)resp, NULL);
}

static int find_brokers(struct client *c, struct throttles *out)
{
    int rv = client_cluster(c);
    size_t n = rv ? 0 : (size_t)c->cluster->brokers_n;
    out->brokers = ARENA_ARRAY(&c->arena, int32_t, n + 1);
    for (size_t i = 0; i < n && rv == 0; i++) {
        struct describe_configs_response *resp;
        int32_t id = c->cluster->brokers[i].broker_id;
        struct bytes name = bytes_str(arena_printf(&c->arena, "%d", id));
        rv = describe(c, id, RESOURCE_BROKER, &name, 1, broker_settings, 3, &resp);
        if (rv == 0 && resp->results_n == 1 && is_throttled(&resp->results[0], SOURCE_BROKER)) {
            out->brokers[out->brokers_n++] = id;
        }
    }
    if (out->brokers_n) {
        qsort(out->brokers, out->brokers_n, sizeof *out->brokers, by_id);
    }
    return rv;
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(*(const struct bytes *)a, *(const struct bytes *)b);
}

static int find_topics(struct client *c, struct throttles *out)
{
    int rv = client_metadata(c);
    size_t n = rv ? 0 : (size_t)c->metadata->topics_n;
    struct bytes *names = ARENA_ARRAY(&c->arena, struct bytes, n + 1);
    out->topics = ARENA_ARRAY(&c->arena, struct bytes, n + 1);
    for (size_t i = 0; i < n; i++) {
        names[i] = c->metadata->topics[i].name;
    }
    for (size_t i = 0; i < n && rv == 0; i += BATCH) {
        struct describe_configs_response *resp;
        rv = describe(c, CLIENT_ANY, RESOURCE_TOPIC, names + i, n - i < BATCH ? n - i : BATCH,
                      topic_settings, 2, &resp);
        for (int32_t k = 0; rv == 0 && k < resp->results_n && out->topics_n < n; k++) {
            if (is_throttled(&resp->results[k], SOURCE_TOPIC)) {
                out->topics[out->topics_n++] = resp->results[k].resource_name;
            }
        }
    }
    if (out->topics_n) {
        qsort(out->topics, out->topics_n, sizeof *out->topics, by_name);
    }
    return rv;
}

int throttle_find(struct client *c, struct throttles *out)
{
    *out = (struct throttles){0};
    int rv = find_brokers(c, out);
    return rv ? rv : find_topics(c, out);
}
