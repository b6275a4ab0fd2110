#include "broker/config.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "base/properties.h"
#include "broker/replica/selector.h"

/* One setting as it was given; the newest wins. */
struct config_setting {
    const char *name;
    const char *value;
    const char *origin; /* file and line, "--override", ... */
};

struct config *config_new(void)
{
    return MEM_NEW(struct config);
}

void config_free(struct config *c)
{
    if (c == NULL) {
        return;
    }
    map_free(&c->set);
    mem_free(c->order);
    arena_free(&c->arena);
    mem_free(c);
}

static const char *dup(struct config *c, const char *s)
{
    return arena_strndup(&c->arena, s, strlen(s));
}

int config_set(struct config *c, const char *name, const char *value, const char *origin)
{
    struct config_setting *s = map_get(&c->set, bytes_str(name));
    if (s == NULL) {
        s = ARENA_NEW(&c->arena, struct config_setting);
        s->name = dup(c, name);
        map_put(&c->set, bytes_str(s->name), s);
        if (c->order_n == c->order_cap) {
            c->order_cap = c->order_cap ? 2 * c->order_cap : 32;
            c->order = mem_realloc(c->order, c->order_cap * sizeof *c->order);
        }
        c->order[c->order_n++] = s->name;
    }
    s->value = dup(c, value);
    s->origin = dup(c, origin);
    return 0;
}

struct from_file {
    struct config *config;
    const char *path;
};

static int add_property(void *ctx, const char *key, const char *value, unsigned line)
{
    struct from_file *f = ctx;
    struct buf origin = {0};
    buf_printf(&origin, "%s:%u", f->path, line);
    int rc = config_set(f->config, key, value, buf_cstr(&origin));
    buf_free(&origin);
    return rc;
}

int config_add_properties(struct config *c, struct bytes text, const char *origin,
                          struct errmsg *em)
{
    struct from_file f = {c, origin};
    struct errmsg why = {{0}};
    int rc = properties_parse(text, add_property, &f, &why);
    return rc ? errmsg_set(em, rc, "%s: %s", origin, why.text) : 0;
}

int config_add_override(struct config *c, const char *key_value, struct errmsg *em)
{
    const char *eq = strchr(key_value, '=');
    if (eq == NULL || eq == key_value) {
        return errmsg_set(em, ERR_INVALID, "--override %s is not KEY=VALUE", key_value);
    }
    char *name = arena_strndup(&c->arena, key_value, (size_t)(eq - key_value));
    return config_set(c, name, eq + 1, "--override");
}

void config_zero(struct config *c, const char *data_dir, uint16_t port)
{
    static const char *const fixed[][2] = {
        {"process.roles", "broker,controller"},
        {"node.id", "1"},
        {"controller.listener.names", "CONTROLLER"},
        {"offsets.topic.replication.factor", "1"},
        {"transaction.state.log.replication.factor", "1"},
        {"transaction.state.log.min.isr", "1"},
        {"share.coordinator.state.topic.replication.factor", "1"},
        {"share.coordinator.state.topic.min.isr", "1"},
    };
    ASSERT(port < UINT16_MAX);
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        config_set(c, fixed[i][0], fixed[i][1], "built-in");
    }
    unsigned controller_port = port ? port + 1u : 0;
    config_set(c, "listeners",
               arena_printf(&c->arena, "PLAINTEXT://localhost:%u,CONTROLLER://localhost:%u",
                            (unsigned)port, controller_port),
               "built-in");
    config_set(c, "controller.quorum.voters",
               arena_printf(&c->arena, "1@localhost:%u", controller_port), "built-in");
    config_set(c, "log.dirs", data_dir, "--data");
    c->zero = true;
}

bool config_is_set(const struct config *c, const char *name)
{
    return map_get(&c->set, bytes_str(name)) != NULL;
}

const char *config_given(const struct config *c, size_t i)
{
    return i < c->order_n ? c->order[i] : NULL;
}

const char *config_given_text(const struct config *c, const char *name)
{
    const struct config_setting *s = map_get(&c->set, bytes_str(name));
    return s ? s->value : NULL;
}

static const char *origin_of(const struct config *c, const char *name)
{
    const struct config_setting *s = map_get(&c->set, bytes_str(name));
    return s ? s->origin : "default";
}

const char *config_default_text(const struct config *c, const struct config_def *d)
{
    bool tmp = d->def && d->def[0] == '{' && c->log_dir_default;
    return tmp ? c->log_dir_default : d->def;
}

const char *config_text(const struct config *c, const struct config_def *d)
{
    const struct config_setting *s = map_get(&c->set, bytes_str(d->name));
    return s ? s->value : config_default_text(c, d);
}

const struct listener_config *config_listener(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->listeners.n; i++) {
        if (strcmp(c->listeners.v[i].name, name) == 0) {
            return &c->listeners.v[i];
        }
    }
    return NULL;
}

/* ---- finishing: every value parsed into its field ---- */

static void store(struct config *c, const struct config_def *d, size_t at,
                  const struct config_value *v)
{
    char *field = (char *)&c->v + at;
    switch (d->type) {
    case CONFIG_BOOLEAN:
        *(bool *)(void *)field = v->boolean;
        break;
    case CONFIG_INT:
        *(int32_t *)(void *)field = v->null ? CONFIG_NULL_INT : (int32_t)v->integer;
        break;
    case CONFIG_SHORT:
        *(int16_t *)(void *)field = (int16_t)v->integer;
        break;
    case CONFIG_LONG:
        *(int64_t *)(void *)field = v->null ? CONFIG_NULL_LONG : v->integer;
        break;
    case CONFIG_DOUBLE:
        *(double *)(void *)field = v->real;
        break;
    default:
        *(const char **)(void *)field =
            v->null ? NULL : arena_strndup(&c->arena, v->text.data, v->text.len);
    }
}

static int parse_all(struct config *c, struct errmsg *em)
{
    const struct config_table *t = &config_broker_table;
    for (size_t i = 0; i < t->n; i++) {
        const struct config_def *d = &t->defs[i];
        const char *text = config_text(c, d);
        struct config_value v;
        struct errmsg why = {{0}};
        if (text == NULL && d->required) {
            return errmsg_set(em, ERR_INVALID, "%s is missing; allowed: %s", d->name, d->valid);
        }
        int rc = config_parse(d, bytes_str(text), &v, &why);
        if (rc) {
            return errmsg_set(em, rc, "%s (%s)", why.text, origin_of(c, d->name));
        }
        store(c, d, config_values_offset[i], &v);
    }
    return 0;
}

/* ---- warnings ---- */

static bool has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Families of names that Kafka knows by their beginning. */
static bool is_known_family(const char *name)
{
    return has_prefix(name, "listener.name.") || has_prefix(name, "config.providers.") ||
           has_prefix(name, "rlmm.config.") || has_prefix(name, "rsm.config.");
}

bool config_is_known(const char *name)
{
    return is_known_family(name) || config_find(&config_broker_table, bytes_str(name)) != NULL;
}

static void warn_one(const struct config *c, const char *name, const struct logger *lg)
{
    const struct config_def *d = config_find(&config_broker_table, bytes_str(name));
    const struct config_setting *s = map_get(&c->set, bytes_str(name));
    if (strcmp(s->origin, "built-in") == 0) {
        return;
    }
    if (d == NULL) {
        log_warn(lg, "config", "%s name=%s at=%s",
                 is_known_family(name) ? "a setting that this version does not use"
                                       : "an unknown setting, ignored",
                 name, s->origin);
    } else if (d->served == CONFIG_NOT_YET) {
        log_warn(lg, "config", "a setting that this version does not use: %s name=%s at=%s", d->doc,
                 name, s->origin);
    } else if (d->served == CONFIG_NOT_NEEDED) {
        log_info(lg, "config", "a setting without meaning here: %s name=%s at=%s", d->doc, name,
                 s->origin);
    }
}

/* ---- computed values and the rules between settings ---- */

static int fill_roles(struct config *c, struct errmsg *em)
{
    struct bytes roles = bytes_str(c->v.process_roles);
    c->is_broker = config_list_has(roles, "broker");
    c->is_controller = config_list_has(roles, "controller");
    if (config_is_set(c, "broker.id") && c->v.broker_id >= 0 && c->v.broker_id != c->v.node_id) {
        return errmsg_set(
            em, ERR_INVALID,
            "broker.id=%d differs from node.id=%d; they are one setting, keep node.id",
            (int)c->v.broker_id, (int)c->v.node_id);
    }
    if (!config_is_set(c, "broker.id")) { /* Kafka shows both */
        const struct config_setting *s = map_get(&c->set, bytes_str("node.id"));
        config_set(c, "broker.id", s->value, s->origin);
        c->v.broker_id = c->v.node_id;
    }
    c->node_id = c->v.node_id;
    return 0;
}

static int parse_voter(struct config *c, struct bytes entry, struct errmsg *em)
{
    static const char form[] = "controller.quorum.voters: `%.*s` is not ID@HOST:PORT";
    const char *text = arena_strndup(&c->arena, entry.data, entry.len);
    const char *at = strchr(text, '@');
    const char *colon = strrchr(text, ':');
    char *end;
    if (at == NULL || colon == NULL || colon < at + 2 || at == text) {
        return errmsg_set(em, ERR_INVALID, form, BYTES_FMT(entry));
    }
    long id = strtol(text, &end, 10);
    if (end != at || id < 0 || id > INT32_MAX) {
        return errmsg_set(em, ERR_INVALID, form, BYTES_FMT(entry));
    }
    long port = strtol(colon + 1, &end, 10);
    if (*end || end == colon + 1 || port < 0 || port > UINT16_MAX) {
        return errmsg_set(em, ERR_INVALID, form, BYTES_FMT(entry));
    }
    const char *host = at + 1;
    const char *host_end = colon;
    if (*host == '[' && host_end[-1] == ']') {
        host++;
        host_end--;
    }
    struct config_voter v = {(int32_t)id, arena_strndup(&c->arena, host, (size_t)(host_end - host)),
                             (uint16_t)port};
    if (strcmp(v.host, "0.0.0.0") == 0 || strcmp(v.host, "::") == 0) {
        return errmsg_set(em, ERR_INVALID,
                          "controller.quorum.voters: %s is no address that another node can reach",
                          v.host);
    }
    for (size_t i = 0; i < c->voters_n; i++) {
        if (c->voters[i].id == v.id) {
            return errmsg_set(em, ERR_INVALID, "controller.quorum.voters=%s names voter %d twice",
                              c->v.controller_quorum_voters, (int)v.id);
        }
    }
    if (c->voters_n == CONFIG_VOTERS_MAX) {
        return errmsg_set(em, ERR_INVALID, "controller.quorum.voters has more than %d entries",
                          CONFIG_VOTERS_MAX);
    }
    c->voters[c->voters_n++] = v;
    return 0;
}

static const struct listener_config *controller_listener(const struct config *c)
{
    for (size_t i = 0; i < c->listeners.n; i++) {
        if (c->listeners.v[i].controller) {
            return &c->listeners.v[i];
        }
    }
    return NULL;
}

/* HOST:PORT of controllers whose ids the node learns from them. */
static int take_servers(struct config *c, struct bytes servers, struct errmsg *em)
{
    struct config_list l = config_list_start(servers);
    struct bytes e;
    while (config_list_next(&l, &e)) {
        const char *text = arena_strndup(&c->arena, e.data, e.len);
        const char *colon = strrchr(text, ':');
        char *end = NULL;
        long port = colon ? strtol(colon + 1, &end, 10) : 0;
        if (colon == NULL || colon == text || *end || port < 1 || port > UINT16_MAX ||
            c->voters_n == CONFIG_VOTERS_MAX) {
            return errmsg_set(em, ERR_INVALID,
                              "controller.quorum.bootstrap.servers: `%.*s` is not HOST:PORT (at "
                              "most %d of them)",
                              BYTES_FMT(e), CONFIG_VOTERS_MAX);
        }
        const char *host = text;
        if (*host == '[' && colon[-1] == ']') {
            host++;
            colon--;
        }
        c->voters[c->voters_n++] = (struct config_voter){
            -1, arena_strndup(&c->arena, host, (size_t)(colon - host)), (uint16_t)port};
    }
    return 0;
}

/* A broker needs no more than where to begin, nor does a controller: one that was formatted to be
 * the only voter is in its metadata log, any other follows the quorum without a part in it. */
static int voters_from_bootstrap(struct config *c, struct errmsg *em)
{
    struct bytes servers = bytes_str(c->v.controller_quorum_bootstrap_servers);
    if (config_list_count(servers) == 0) {
        return errmsg_set(em, ERR_INVALID,
                          "controller.quorum.voters is missing, and so is "
                          "controller.quorum.bootstrap.servers: name all voters as ID@HOST:PORT, "
                          "separated by commas, in the one, or some controllers as HOST:PORT in "
                          "the other");
    }
    return take_servers(c, servers, em);
}

static bool is_own_host(const struct listener_config *own, const char *host)
{
    bool loopback = strcmp(host, "localhost") == 0 || strcmp(host, "127.0.0.1") == 0 ||
                    strcmp(host, "::1") == 0;
    return strcmp(host, own->advertised_host) == 0 || (own->bind[0][0] == '\0' && loopback);
}

bool config_begins_with_itself(const struct config *c)
{
    const struct listener_config *own = controller_listener(c);
    bool all = own != NULL && config_learns_voters(c);
    for (size_t i = 0; all && i < c->voters_n; i++) {
        all = c->voters[i].port == own->port && is_own_host(own, c->voters[i].host);
    }
    return all;
}

enum {
    VOTERS_SERVED = 5,
    VOTER_FRAME_BYTES = 10 << 20, /* the largest change of the metadata, and what goes with it */
};

static int fill_voters(struct config *c, struct errmsg *em)
{
    struct config_list l = config_list_start(bytes_str(c->v.controller_quorum_voters));
    struct bytes e;
    const struct listener_config *own = controller_listener(c);
    bool self = false;
    int rc = 0;
    if (c->zero && own && !strcmp(origin_of(c, "controller.quorum.voters"), "built-in")) {
        /* the node id and the ports may have been overridden */
        c->voters[c->voters_n++] =
            (struct config_voter){c->node_id, own->advertised_host, own->port};
        return 0;
    }
    while (rc == 0 && config_list_next(&l, &e)) {
        rc = parse_voter(c, e, em);
    }
    if (rc == 0 && c->voters_n == 0) {
        return voters_from_bootstrap(c, em);
    }
    if (rc) {
        return rc;
    }
    for (size_t i = 0; i < c->voters_n; i++) {
        self |= c->voters[i].id == c->node_id;
    }
    if (c->is_controller && (c->voters_n > VOTERS_SERVED || c->voters_n % 2 == 0)) {
        return errmsg_set(em, ERR_UNSUPPORTED,
                          "controller.quorum.voters=%s names %zu voters; allowed: 1, 3 or 5",
                          c->v.controller_quorum_voters, c->voters_n);
    }
    if (c->is_controller && c->voters_n > 1 && c->v.socket_request_max_bytes < VOTER_FRAME_BYTES) {
        return errmsg_set(em, ERR_INVALID,
                          "socket.request.max.bytes=%d would keep this controller from what the "
                          "other voters send; allowed with several: %d or more",
                          (int)c->v.socket_request_max_bytes, VOTER_FRAME_BYTES);
    }
    if (self != c->is_controller) {
        return errmsg_set(em, ERR_INVALID,
                          c->is_controller
                              ? "node.id=%d is a controller (process.roles=%s) but not one of "
                                "controller.quorum.voters=%s (one that is to be no voter has "
                                "controller.quorum.bootstrap.servers in their place)"
                              : "node.id=%d is no controller (process.roles=%s) but one of "
                                "controller.quorum.voters=%s",
                          (int)c->node_id, c->v.process_roles, c->v.controller_quorum_voters);
    }
    return 0;
}

static int fill_listeners(struct config *c, const struct config_machine *m, struct errmsg *em)
{
    const char *name = c->v.inter_broker_listener_name;
    c->hostname =
        arena_printf(&c->arena, "%s", m->hostname && *m->hostname ? m->hostname : "localhost");
    struct listeners_input in = {
        .listeners = c->v.listeners,
        .advertised = c->v.advertised_listeners,
        .protocol_map = c->v.listener_security_protocol_map,
        .protocol_map_is_set = config_is_set(c, "listener.security.protocol.map"),
        .controller_names = c->v.controller_listener_names,
        .inter_broker_name = name,
        .inter_broker_protocol = c->v.security_inter_broker_protocol,
        .inter_broker_protocol_is_set = config_is_set(c, "security.inter.broker.protocol"),
        .hostname = c->hostname,
        .broker = c->is_broker,
        .controller = c->is_controller,
    };
    return listeners_parse(&in, &c->arena, &c->listeners, em);
}

static int fill_dirs(struct config *c, struct errmsg *em)
{
    struct config_list l =
        config_list_start(bytes_str(c->v.log_dirs ? c->v.log_dirs : c->v.log_dir));
    struct bytes e;
    while (config_list_next(&l, &e)) {
        while (e.len > 1 && e.data[e.len - 1] == '/') {
            e.len--;
        }
        const char *dir = arena_strndup(&c->arena, e.data, e.len);
        for (size_t i = 0; i < c->log_dirs_n; i++) {
            if (strcmp(c->log_dirs[i], dir) == 0) {
                return errmsg_set(em, ERR_INVALID, "log.dirs=%s names %s twice", c->v.log_dirs,
                                  dir);
            }
        }
        if (c->log_dirs_n == CONFIG_LOG_DIRS_MAX) {
            return errmsg_set(em, ERR_INVALID, "log.dirs has more than %d entries",
                              CONFIG_LOG_DIRS_MAX);
        }
        c->log_dirs[c->log_dirs_n++] = dir;
    }
    ASSERT(c->log_dirs_n > 0);
    const char *meta = c->v.metadata_log_dir;
    c->metadata_log_dir = meta && *meta ? meta : c->log_dirs[0];
    return 0;
}

/* minutes and hours become ms, -1 stays. */
static int64_t in_ms(int64_t v, int64_t unit_ms)
{
    return v < 0 ? -1 : v * unit_ms;
}

static int fill_times(struct config *c, struct errmsg *em)
{
    const int64_t minute = 60000;
    const int64_t hour = 60 * minute;
    const struct config_values *v = &c->v;
    if (v->log_retention_ms != CONFIG_NULL_LONG) {
        c->retention_ms = v->log_retention_ms < 0 ? -1 : v->log_retention_ms;
    } else if (v->log_retention_minutes != CONFIG_NULL_INT) {
        c->retention_ms = in_ms(v->log_retention_minutes, minute);
    } else {
        c->retention_ms = in_ms(v->log_retention_hours, hour);
    }
    if (c->retention_ms == 0) {
        return errmsg_set(em, ERR_INVALID,
                          "log.retention.ms (or .minutes, .hours) is 0; allowed: -1 (no limit), or "
                          "at least 1");
    }
    c->roll_ms =
        v->log_roll_ms != CONFIG_NULL_LONG ? v->log_roll_ms : in_ms(v->log_roll_hours, hour);
    c->roll_jitter_ms = v->log_roll_jitter_ms != CONFIG_NULL_LONG
                            ? v->log_roll_jitter_ms
                            : in_ms(v->log_roll_jitter_hours, hour);
    c->flush_ms = v->log_flush_interval_ms != CONFIG_NULL_LONG ? v->log_flush_interval_ms
                                                               : v->log_flush_scheduler_interval_ms;
    return 0;
}

static void fill_resources(struct config *c, const struct config_machine *m)
{
    const uint64_t mib = 1024 * 1024;
    c->data_shards = c->v.io_threads > 0 ? (unsigned)c->v.io_threads : m->processors;
    c->data_shards = c->data_shards ? c->data_shards : 1;
    c->request_memory = (uint64_t)c->v.request_memory_bytes;
    if (c->request_memory == 0) {
        c->request_memory = m->memory_bytes / 4;
        c->request_memory = c->request_memory < 256 * mib ? 256 * mib : c->request_memory;
        c->request_memory = c->request_memory > 4096 * mib ? 4096 * mib : c->request_memory;
    }
    c->group_memory = (uint64_t)c->v.group_coordinator_memory_bytes;
    if (c->group_memory == 0) {
        c->group_memory = m->memory_bytes / 8;
        c->group_memory = c->group_memory < 256 * mib ? 256 * mib : c->group_memory;
    }
}

int config_check_per_ip(struct bytes text, struct errmsg *em)
{
    struct config_list l = config_list_start(text);
    struct bytes e;
    while (config_list_next(&l, &e)) {
        const uint8_t *colon = e.len ? memrchr(e.data, ':', e.len) : NULL;
        char digits[12] = "";
        size_t n = colon ? e.len - 1 - (size_t)(colon - e.data) : 0;
        if (n > 0 && n < sizeof digits) {
            memcpy(digits, colon + 1, n);
        }
        if (colon == NULL || colon == e.data || *digits == 0 ||
            strspn(digits, "0123456789") != strlen(digits) || atoll(digits) > INT32_MAX) {
            return errmsg_set(em, ERR_INVALID,
                              "max.connections.per.ip.overrides: `%.*s` is not ADDRESS:COUNT",
                              BYTES_FMT(e));
        }
    }
    return 0;
}

static int check_connections(const struct config *c, struct errmsg *em)
{
    if (c->v.max_connections_per_ip == 0 && *c->v.max_connections_per_ip_overrides == 0) {
        return errmsg_set(em, ERR_INVALID,
                          "max.connections.per.ip=0 lets nobody in; allowed: at least 1, or 0 with "
                          "max.connections.per.ip.overrides");
    }
    return config_check_per_ip(bytes_str(c->v.max_connections_per_ip_overrides), em);
}

static int check_rules(const struct config *c, const struct logger *lg, struct errmsg *em)
{
    const struct config_values *v = &c->v;
    if (v->controller_raft_heartbeat_interval_ms * 2 > v->controller_raft_election_timeout_ms) {
        return errmsg_set(em, ERR_INVALID,
                          "controller.raft.heartbeat.interval.ms=%d must be at most half of "
                          "controller.raft.election.timeout.ms=%d",
                          (int)v->controller_raft_heartbeat_interval_ms,
                          (int)v->controller_raft_election_timeout_ms);
    }
    if (v->replica_socket_timeout_ms < v->replica_fetch_wait_max_ms) {
        return errmsg_set(em, ERR_INVALID,
                          "replica.socket.timeout.ms=%d must be at least "
                          "replica.fetch.wait.max.ms=%d",
                          (int)v->replica_socket_timeout_ms, (int)v->replica_fetch_wait_max_ms);
    }
    if (v->replica_selector_class && *v->replica_selector_class &&
        strcmp(v->replica_selector_class, REPLICA_SELECTOR_RACK) != 0) {
        return errmsg_set(em, ERR_INVALID,
                          "replica.selector.class=%s is not known; allowed: " REPLICA_SELECTOR_RACK,
                          v->replica_selector_class);
    }
    if (v->queued_max_request_bytes > 0 &&
        v->queued_max_request_bytes < v->socket_request_max_bytes) {
        return errmsg_set(em, ERR_INVALID,
                          "queued.max.request.bytes=%lld must be at least "
                          "socket.request.max.bytes=%d",
                          (long long)v->queued_max_request_bytes, (int)v->socket_request_max_bytes);
    }
    if (v->broker_heartbeat_interval_ms < 1) {
        return errmsg_set(em, ERR_INVALID,
                          "broker.heartbeat.interval.ms=%d is not allowed; allowed: at least 1",
                          (int)v->broker_heartbeat_interval_ms);
    }
    if (v->broker_heartbeat_interval_ms > v->broker_session_timeout_ms / 2) {
        log_warn(
            lg, "config",
            "broker.heartbeat.interval.ms should be at most half of broker.session.timeout.ms, "
            "or the broker is fenced between two heartbeats interval_ms=%d timeout_ms=%d",
            (int)v->broker_heartbeat_interval_ms, (int)v->broker_session_timeout_ms);
    }
    if (c->request_memory < (uint64_t)v->socket_request_max_bytes) {
        log_warn(lg, "config",
                 "request.memory.bytes is smaller than socket.request.max.bytes: a larger request "
                 "goes alone, from a reserve memory=%llu request_max=%d",
                 (unsigned long long)c->request_memory, (int)v->socket_request_max_bytes);
    }
    return check_connections(c, em);
}

int config_finish(struct config *c, const struct config_machine *m, const struct logger *lg,
                  struct errmsg *em)
{
    if (!config_is_set(c, "node.id") && config_is_set(c, "broker.id")) {
        const struct config_setting *s = map_get(&c->set, bytes_str("broker.id"));
        config_set(c, "node.id", s->value, s->origin);
    }
    c->log_dir_default = arena_printf(&c->arena, "%s/kafka-logs", m->tmp_dir ? m->tmp_dir : "/tmp");
    ASSERT(strcmp(config_find(&config_broker_table, bytes_str("log.dir"))->def,
                  "{TMP}/kafka-logs") == 0);
    int rc = parse_all(c, em);
    rc = rc ? rc : fill_roles(c, em);
    rc = rc ? rc : fill_listeners(c, m, em);
    rc = rc ? rc
            : metrics_listener_parse(c->v.metrics_listener, &c->arena, &c->metrics_host,
                                     &c->metrics_port, em);
    rc = rc ? rc : fill_voters(c, em);
    rc = rc ? rc : fill_dirs(c, em);
    rc = rc ? rc : fill_times(c, em);
    if (rc) {
        return rc;
    }
    fill_resources(c, m);
    for (size_t i = 0; i < c->order_n; i++) {
        warn_one(c, c->order[i], lg);
    }
    return check_rules(c, lg, em);
}
