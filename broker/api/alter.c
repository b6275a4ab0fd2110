#include "broker/api/alter.h"

#include "base/map.h"
#include "broker/config.h"
#include "broker/config_describe.h"
#include "broker/dynamic_config.h"
#include "proto_errors.h"

struct alter *alter_new(struct request *r, int32_t resources)
{
    struct alter *a = ARENA_NEW(&r->arena, struct alter);
    a->r = r;
    a->n = resources > 0 ? resources : 0;
    a->v = ARENA_ARRAY(&r->arena, struct alter_resource, a->n + 1);
    return a;
}

struct alter_entry *alter_entries(struct alter *a, struct alter_resource *res, int32_t n)
{
    res->n = n > 0 ? n : 0;
    res->entries = ARENA_ARRAY(&a->r->arena, struct alter_entry, res->n + 1);
    return res->entries;
}

static void handle(struct alter *a, struct alter_resource *res, int16_t code,
                   const struct errmsg *em)
{
    res->handled = true;
    res->code = code;
    res->message =
        em ? bytes_str(arena_strndup(&a->r->arena, em->text, strlen(em->text))) : BYTES_NULL;
}

/* Each resource at most once: all that stand there twice are refused. */
static void refuse_twins(struct alter *a)
{
    struct map seen = {.secret = &a->r->ns->map_secret};
    struct errmsg em;
    errmsg_set(&em, 0, "a resource stands in the request more than once");
    for (int32_t i = 0; i < a->n; i++) {
        struct alter_resource *res = &a->v[i];
        uint8_t *key = arena_alloc(&a->r->arena, 1 + res->name.len);
        key[0] = (uint8_t)res->type;
        memcpy(key + 1, res->name.data, res->name.len);
        struct alter_resource *twin = map_put(&seen, bytes_of(key, 1 + res->name.len), res);
        if (twin) {
            handle(a, twin, KE_INVALID_REQUEST, &em);
            handle(a, res, KE_INVALID_REQUEST, &em);
        }
    }
    map_free(&seen);
}

static int16_t check_form(const struct alter *a, const struct alter_resource *res,
                          struct errmsg *em)
{
    struct map seen = {.secret = &a->r->ns->map_secret};
    int16_t code = 0;
    for (int32_t i = 0; code == 0 && i < res->n; i++) {
        if (map_put(&seen, res->entries[i].name, &res->entries[i])) {
            errmsg_set(em, 0, "%.*s stands in the request more than once",
                       BYTES_FMT(res->entries[i].name));
            code = KE_INVALID_REQUEST;
        }
    }
    map_free(&seen);
    if (code) {
        return code;
    }
    for (int32_t i = 0; i < res->n; i++) {
        if (res->entries[i].op != ALTER_DELETE && bytes_is_null(res->entries[i].value)) {
            errmsg_set(em, 0, "%.*s has no value", BYTES_FMT(res->entries[i].name));
            return KE_INVALID_REQUEST;
        }
    }
    return 0;
}

/* ---- brokers ---- */

static int16_t check_is_self(const struct alter *a, const struct alter_resource *res,
                             struct errmsg *em)
{
    int32_t id = request_node(a->r)->id;
    if (config_node_id(res->name) != id) {
        errmsg_set(em, 0, "this is broker %d: it cannot change the settings of broker `%.*s`",
                   (int)id, BYTES_FMT(res->name));
        return KE_INVALID_REQUEST;
    }
    return 0;
}

static int16_t check_broker(const struct alter *a, const struct alter_resource *res,
                            struct errmsg *em)
{
    bool all = res->name.len == 0;
    int16_t code = all ? 0 : check_is_self(a, res, em);
    for (int32_t i = 0; code == 0 && i < res->n; i++) {
        if (res->entries[i].op < ALTER_SET || res->entries[i].op > ALTER_SUBTRACT) {
            errmsg_set(em, 0, "there is no operation %d on a setting", (int)res->entries[i].op);
            code = KE_INVALID_REQUEST;
        }
    }
    for (int32_t i = 0; code == 0 && i < res->n; i++) {
        if (res->entries[i].op == ALTER_APPEND || res->entries[i].op == ALTER_SUBTRACT) {
            code = dynamic_config_check_edit(res->entries[i].name, em);
        }
    }
    for (int32_t i = 0; code == 0 && i < res->n; i++) {
        const struct alter_entry *e = &res->entries[i];
        if (e->op != ALTER_DELETE) {
            /* the outcome of APPEND and SUBTRACT is the controller's to judge */
            code = dynamic_config_check(request_node(a->r)->config, a->r->image, e->name,
                                        e->op == ALTER_SET ? e->value : BYTES_NULL, all, em);
        }
    }
    return code;
}

/* ---- the log's level ---- */

static int16_t check_logger(const struct alter_entry *e, struct errmsg *em)
{
    if (!bytes_eq_str(e->name, "root")) {
        errmsg_set(em, 0, "there is no logger %.*s, only root", BYTES_FMT(e->name));
        return KE_INVALID_CONFIG;
    }
    if (e->op == ALTER_APPEND || e->op == ALTER_SUBTRACT) {
        errmsg_set(em, 0, "the level of a logger is no list");
        return KE_INVALID_REQUEST;
    }
    if (e->op == ALTER_SET && config_level_parse(e->value) < 0) {
        errmsg_set(em, 0,
                   "%.*s is no level of a logger; allowed: TRACE, DEBUG, INFO, WARN, ERROR, FATAL",
                   BYTES_FMT(e->value));
        return KE_INVALID_CONFIG;
    }
    return 0;
}

static enum log_level configured_level(const struct config *c)
{
    const char *names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], c->v.log_level) == 0) {
            return (enum log_level)i;
        }
    }
    return LOG_INFO;
}

static int16_t change_loggers(const struct alter *a, const struct alter_resource *res,
                              struct errmsg *em)
{
    const struct node *n = request_node(a->r);
    int16_t code = check_is_self(a, res, em);
    for (int32_t i = 0; code == 0 && i < res->n; i++) {
        code = check_logger(&res->entries[i], em);
    }
    for (int32_t i = 0; code == 0 && !a->validate_only && i < res->n; i++) {
        const struct alter_entry *e = &res->entries[i];
        enum log_level level = e->op == ALTER_SET ? (enum log_level)config_level_parse(e->value)
                                                  : configured_level(n->config);
        log_set_level((struct logger *)(uintptr_t)n->log, level);
    }
    return code;
}

/* ---- together ---- */

static void prepare_one(struct alter *a, struct alter_resource *res)
{
    struct errmsg em = {{0}};
    int16_t code = check_form(a, res, &em);
    if (code == 0) {
        switch (res->type) {
        case CONFIG_TOPIC:
        case CONFIG_GROUP:
        case CONFIG_CLIENT_METRICS:
            break;
        case CONFIG_BROKER:
            code = check_broker(a, res, &em);
            break;
        case CONFIG_BROKER_LOGGER:
            if (a->incremental) {
                code = change_loggers(a, res, &em);
                if (code == 0) {
                    handle(a, res, 0, NULL);
                }
                break;
            }
            /* fall through */
        default:
            errmsg_set(&em, 0, "resource type %d has no settings that can be changed",
                       (int)res->type);
            code = KE_INVALID_REQUEST;
        }
    }
    if (code) {
        handle(a, res, code, &em);
    }
}

int32_t alter_prepare(struct alter *a)
{
    int32_t left = 0;
    refuse_twins(a);
    for (int32_t i = 0; i < a->n; i++) {
        if (!a->v[i].handled) {
            prepare_one(a, &a->v[i]);
        }
        left += !a->v[i].handled;
    }
    return left;
}

void alter_answered(struct alter *a, int8_t type, struct bytes name, int16_t code,
                    struct bytes message)
{
    for (int32_t i = 0; i < a->n; i++) {
        if (!a->v[i].handled && a->v[i].type == type && bytes_eq(a->v[i].name, name)) {
            a->v[i].handled = true;
            a->v[i].code = code;
            a->v[i].message = message;
        }
    }
}

void alter_rest(struct alter *a, int16_t code)
{
    for (int32_t i = 0; i < a->n; i++) {
        if (!a->v[i].handled) {
            handle(a, &a->v[i], code, NULL);
        }
    }
}
