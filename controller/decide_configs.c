/* IncrementalAlterConfigs and AlterConfigs: both end as a list of settings and their new values,
 * which is judged as a whole by the node's validator; then a Config record for each that changes.
 *
 * With ELR on, the least ISR size is the cluster's business: a broker cannot have its own, the
 * cluster-wide value cannot be removed, and a change of it forgets all ELRs that rest on it. */
#include <stdlib.h>

#include "controller/decide_topics.h"
#include "proto_errors.h"

enum { OP_SET = 0, OP_DELETE = 1, OP_APPEND = 2, OP_SUBTRACT = 3 };

#define MIN_ISR "min.insync.replicas"

struct op {
    struct bytes name;
    struct bytes value;
    int8_t op;
};

struct alteration { /* of one resource */
    struct decision *d;
    int8_t type;
    struct bytes resource;
    struct op *ops; /* sorted by name once they are checked */
    size_t n;
    bool replace;                       /* all that is not named goes */
    struct image_config_entry *entries; /* afterwards; value null: removed */
    size_t entries_n;
    int16_t code;
    struct bytes message;
};

static bool fail(struct alteration *a, int16_t code, struct bytes message)
{
    a->code = code;
    a->message = message;
    return false;
}

/* ---- the resource ---- */

static bool parse_broker_id(struct bytes name, int32_t *id)
{
    int64_t v = 0;
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < '0' || name.data[i] > '9' || v > INT32_MAX / 10) {
            return false;
        }
        v = 10 * v + (name.data[i] - '0');
    }
    *id = (int32_t)v;
    return name.len > 0 && v <= INT32_MAX;
}

/* Is it something that can have settings at all? */
static bool check_type(struct alteration *a)
{
    int32_t id;
    switch (a->type) {
    case CONFIG_BROKER:
        if (a->resource.len > 0 && !parse_broker_id(a->resource, &id)) {
            return fail(a, KE_INVALID_REQUEST,
                        decision_text(a->d, "`%.*s` is no broker id", BYTES_FMT(a->resource)));
        }
        return true;
    case CONFIG_TOPIC:
    case CONFIG_CLIENT_METRICS:
    case CONFIG_GROUP:
        return true;
    default:
        return fail(a, KE_INVALID_REQUEST,
                    decision_text(a->d, "resource type %d has no settings here", (int)a->type));
    }
}

/* Kafka asks for it last: what is wrong with the settings themselves is answered before. */
static bool check_exists(struct alteration *a)
{
    struct decision *d = a->d;
    int32_t id;
    if (a->type == CONFIG_TOPIC && a->resource.len > 0 &&
        image_topic_by_name(d->img, a->resource) == NULL) {
        return fail(a, KE_UNKNOWN_TOPIC_OR_PARTITION,
                    decision_text(d, "there is no topic %.*s", BYTES_FMT(a->resource)));
    }
    if (a->type == CONFIG_BROKER && parse_broker_id(a->resource, &id) &&
        image_broker(d->img, id) == NULL && image_controller(d->img, id) == NULL) {
        return fail(a, KE_BROKER_ID_NOT_REGISTERED,
                    decision_text(d, "node %d is not registered", (int)id));
    }
    return true;
}

static int by_op_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct op *)a)->name, ((const struct op *)b)->name);
}

/* Sorts them by name, too. */
static bool check_ops(struct alteration *a)
{
    for (size_t i = 0; i < a->n; i++) {
        const struct op *op = &a->ops[i];
        if (op->op != OP_DELETE && bytes_is_null(op->value)) {
            return fail(a, KE_INVALID_REQUEST,
                        decision_text(a->d, "%.*s has no value; to remove a setting, delete it",
                                      BYTES_FMT(op->name)));
        }
    }
    qsort(a->ops, a->n, sizeof *a->ops, by_op_name);
    for (size_t i = 1; i < a->n; i++) {
        if (bytes_eq(a->ops[i - 1].name, a->ops[i].name)) {
            return fail(
                a, KE_INVALID_REQUEST,
                decision_text(a->d, "%.*s is in the request twice", BYTES_FMT(a->ops[i].name)));
        }
    }
    return true;
}

/* ---- lists ---- */

/* Kafka cuts at commas and trims nothing; the validator sees what comes of it. */
struct items {
    struct bytes *v;
    size_t n;
};

static struct items cut(struct arena *a, struct bytes list, size_t room)
{
    struct items out = {0};
    size_t commas = 0;
    for (size_t i = 0; i < list.len; i++) {
        commas += list.data[i] == ',';
    }
    out.v = ARENA_ARRAY(a, struct bytes, commas + 1 + room);
    size_t from = 0;
    for (size_t i = 0; i <= list.len; i++) {
        if (i == list.len || list.data[i] == ',') {
            out.v[out.n++] = bytes_of(list.data + from, i - from);
            from = i + 1;
        }
    }
    return out;
}

/* As Java's split does it: empty items at the end go, unless the list was empty as a whole. */
static struct items cut_value(struct arena *a, struct bytes list)
{
    struct items out = cut(a, list, 0);
    while (list.len && out.n && out.v[out.n - 1].len == 0) {
        out.n--;
    }
    return out;
}

static struct bytes join(struct arena *a, const struct items *list)
{
    struct buf out = {0};
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0) {
            buf_put_u8(&out, ',');
        }
        buf_put(&out, list->v[i].data, list->v[i].len);
    }
    struct bytes made =
        bytes_of(arena_strndup(a, out.data ? (const char *)out.data : "", out.len), out.len);
    buf_free(&out);
    return made;
}

/* Appends the items of value that are not there, or takes each of them out once. */
static struct bytes edit_list(struct arena *a, struct bytes old, struct bytes value, bool append)
{
    struct items change = cut_value(a, value);
    struct items list = cut(a, old, change.n);
    size_t old_n = 0;
    for (size_t i = 0; i < list.n; i++) {
        if (list.v[i].len) {
            list.v[old_n++] = list.v[i];
        }
    }
    list.n = 0;
    /* the old items, then those of the change: what is the same has the same first place */
    size_t n = old_n + change.n;
    struct decision_key *keys = ARENA_ARRAY(a, struct decision_key, n + 1);
    size_t *taken = ARENA_ARRAY(a, size_t, n + 1);
    for (size_t i = 0; i < n; i++) {
        keys[i].name = i < old_n ? list.v[i] : change.v[i - old_n];
    }
    const struct decision_places *same = decision_same(a, keys, n);
    for (size_t i = old_n; i < n && !append; i++) {
        taken[same[i].first]++;
    }
    for (size_t i = 0; i < n; i++) {
        bool is_old = i < old_n;
        if (is_old && taken[same[i].first] > 0) {
            taken[same[i].first]--;
        } else if (is_old || (append && same[i].first == i)) {
            list.v[list.n++] = keys[i].name;
        }
    }
    return join(a, &list);
}

static bool edit(struct alteration *a, const struct op *op, struct bytes old, struct bytes *out)
{
    const struct config_validator *v = a->d->cfg->validator;
    struct bytes inherited = BYTES_NULL;
    if (v == NULL || !v->is_list(v->ctx, a->d->img, a->type, op->name, a->d->arena, &inherited)) {
        return fail(a, KE_INVALID_CONFIG,
                    decision_text(a->d, "%.*s is no list: it can be set and deleted only",
                                  BYTES_FMT(op->name)));
    }
    old = bytes_is_null(old) ? inherited : old;
    old = bytes_is_null(old) ? bytes_str("") : old;
    *out = edit_list(a->d->arena, old, op->value, op->op == OP_APPEND);
    return out->len <= INT16_MAX ||
           fail(a, KE_INVALID_CONFIG,
                decision_text(a->d, "%.*s would be longer than %d bytes, which no record can hold",
                              BYTES_FMT(op->name), INT16_MAX));
}

/* ---- the settings afterwards ---- */

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct image_config_entry *)a)->name,
                     ((const struct image_config_entry *)b)->name);
}

static const struct op *find_op(const struct alteration *a, struct bytes name)
{
    struct op key = {.name = name};
    return a->n ? bsearch(&key, a->ops, a->n, sizeof *a->ops, by_op_name) : NULL;
}

/* Fills entries: what is there now and what the request names, with the value that each gets. */
static bool apply_ops(struct alteration *a)
{
    const struct image_config *now = image_config(a->d->img, a->type, a->resource);
    size_t now_n = now ? now->n : 0;
    a->entries = ARENA_ARRAY(a->d->arena, struct image_config_entry, now_n + a->n + 1);
    for (size_t i = 0; i < now_n; i++) {
        const struct op *op = find_op(a, now->entries[i].name);
        if (op == NULL) {
            struct image_config_entry e = now->entries[i];
            e.value = a->replace ? BYTES_NULL : e.value;
            a->entries[a->entries_n++] = e;
        }
    }
    for (size_t i = 0; i < a->n; i++) {
        struct image_config_entry e = {a->ops[i].name, a->ops[i].value};
        struct bytes old = image_config_value(a->d->img, a->type, a->resource, e.name);
        if (a->ops[i].op == OP_DELETE) {
            e.value = BYTES_NULL;
        } else if (a->ops[i].op != OP_SET && !edit(a, &a->ops[i], old, &e.value)) {
            return false;
        }
        a->entries[a->entries_n++] = e;
    }
    qsort(a->entries, a->entries_n, sizeof *a->entries, by_name);
    return true;
}

static bool validate(struct alteration *a)
{
    const struct config_validator *v = a->d->cfg->validator;
    struct image_config_entry *set =
        ARENA_ARRAY(a->d->arena, struct image_config_entry, a->entries_n + 1);
    bool *changed = ARENA_ARRAY(a->d->arena, bool, a->entries_n + 1);
    struct errmsg em = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < a->entries_n; i++) {
        if (!bytes_is_null(a->entries[i].value)) {
            changed[n] = find_op(a, a->entries[i].name) != NULL;
            set[n++] = a->entries[i];
        }
    }
    int16_t code =
        v ? v->validate(v->ctx, a->d->img, a->type, a->resource, set, n, changed, &em) : 0;
    return code == 0 || fail(a, code, decision_text(a->d, "%s", em.text));
}

/* ---- min.insync.replicas under ELR ---- */

static bool check_min_isr(struct alteration *a, bool *changes)
{
    *changes = false;
    for (size_t i = 0; i < a->entries_n; i++) {
        struct bytes name = a->entries[i].name;
        struct bytes old = image_config_value(a->d->img, a->type, a->resource, name);
        if (bytes_eq_str(name, MIN_ISR) && !bytes_eq(old, a->entries[i].value)) {
            *changes = decide_elr_enabled(a->d);
        }
        if (!*changes || !bytes_eq_str(name, MIN_ISR) || a->type != CONFIG_BROKER) {
            continue;
        }
        if (a->resource.len > 0 && !bytes_is_null(a->entries[i].value)) {
            return fail(a, KE_INVALID_CONFIG,
                        bytes_str("with eligible.leader.replicas.version=1, " MIN_ISR
                                  " cannot be set on one broker: set it for the cluster"));
        }
        if (a->resource.len == 0 && bytes_is_null(a->entries[i].value)) {
            return fail(a, KE_INVALID_CONFIG,
                        bytes_str("with eligible.leader.replicas.version=1, the cluster's " MIN_ISR
                                  " can be changed but not removed"));
        }
    }
    return true;
}

static void add_records(struct alteration *a, bool min_isr)
{
    for (size_t i = 0; i < a->entries_n; i++) {
        const struct image_config_entry *e = &a->entries[i];
        struct bytes old = image_config_value(a->d->img, a->type, a->resource, e->name);
        bool named = find_op(a, e->name) != NULL;
        /* a broker is told again what it has: it may have failed to apply it */
        if (!bytes_eq(old, e->value) || (named && a->type == CONFIG_BROKER)) {
            decide_add_config(a->d, a->type, a->resource, e->name, e->value);
            if (bytes_eq_str(e->name, "unclean.leader.election.enable")) {
                a->d->sessions->leaderless = a->d->sessions->more = true; /* may have one now */
            }
        }
    }
    if (min_isr && a->type == CONFIG_TOPIC) {
        decide_clear_elr(a->d, a->resource);
    } else if (min_isr && a->type == CONFIG_BROKER && a->resource.len == 0) {
        decide_clear_elr(a->d, bytes_str(""));
    }
}

static void alter(struct alteration *a, bool validate_only)
{
    bool min_isr;
    if (!check_type(a) || !check_ops(a) || !apply_ops(a) || !validate(a) || !check_exists(a) ||
        !check_min_isr(a, &min_isr) || validate_only) {
        return;
    }
    size_t before = a->d->n;
    add_records(a, min_isr);
    if (a->d->n > DECISION_RECORDS_MAX) {
        decision_cut(a->d, before);
        fail(a, KE_POLICY_VIOLATION,
             bytes_str("the request makes more than 10000 changes at once: send several"));
    }
}

/* ---- the two requests ---- */

#define INC        struct incremental_alter_configs_request_alter_configs_resource
#define INC_RESULT struct incremental_alter_configs_response_alter_configs_resource_response
#define OLD        struct alter_configs_request_alter_configs_resource
#define OLD_RESULT struct alter_configs_response_alter_configs_resource_response

static const char twice_text[] = "the resource is in the request twice";

/* An operation that is none makes Kafka fail on the whole request. */
static bool has_unknown_op(const struct incremental_alter_configs_request *q)
{
    for (int32_t i = 0; i < q->resources_n; i++) {
        for (int32_t k = 0; k < q->resources[i].configs_n; k++) {
            int8_t op = q->resources[i].configs[k].config_operation;
            if (op < OP_SET || op > OP_SUBTRACT) {
                return true;
            }
        }
    }
    return false;
}

void decide_incremental_alter_configs(struct decision *d, const void *request, void *response)
{
    const struct incremental_alter_configs_request *q = request;
    struct incremental_alter_configs_response *resp = response;
    bool unknown_op = has_unknown_op(q);
    resp->responses = proto_array(
        d->arena, &incremental_alter_configs_response_alter_configs_resource_response_desc,
        (size_t)(q->resources_n > 0 ? q->resources_n : 0));
    struct decision_key *keys = ARENA_ARRAY(d->arena, struct decision_key, q->resources_n + 1);
    for (int32_t i = 0; i < q->resources_n; i++) {
        keys[i] =
            (struct decision_key){q->resources[i].resource_name, q->resources[i].resource_type};
    }
    const struct decision_places *same =
        decision_same(d->arena, keys, (size_t)(q->resources_n > 0 ? q->resources_n : 0));
    for (int32_t i = 0; i < q->resources_n; i++) {
        const INC *in = &q->resources[i];
        INC_RESULT *out = &resp->responses[resp->responses_n++];
        struct alteration a = {.d = d, .type = in->resource_type, .resource = in->resource_name};
        struct op *ops = ARENA_ARRAY(d->arena, struct op, in->configs_n + 1);
        for (int32_t k = 0; k < in->configs_n; k++) {
            ops[k] = (struct op){in->configs[k].name, in->configs[k].value,
                                 in->configs[k].config_operation};
        }
        a.ops = ops;
        a.n = (size_t)(in->configs_n > 0 ? in->configs_n : 0);
        if (same[i].first != same[i].last) {
            fail(&a, KE_INVALID_REQUEST, bytes_str(twice_text));
        } else if (unknown_op) {
            fail(&a, KE_UNKNOWN_SERVER_ERROR, BYTES_NULL);
        } else {
            alter(&a, q->validate_only);
        }
        out->error_code = a.code;
        out->error_message = a.message;
        out->resource_type = a.type;
        out->resource_name = a.resource;
    }
}

void decide_alter_configs(struct decision *d, const void *request, void *response)
{
    const struct alter_configs_request *q = request;
    struct alter_configs_response *resp = response;
    resp->responses =
        proto_array(d->arena, &alter_configs_response_alter_configs_resource_response_desc,
                    (size_t)(q->resources_n > 0 ? q->resources_n : 0));
    struct decision_key *keys = ARENA_ARRAY(d->arena, struct decision_key, q->resources_n + 1);
    for (int32_t i = 0; i < q->resources_n; i++) {
        keys[i] =
            (struct decision_key){q->resources[i].resource_name, q->resources[i].resource_type};
    }
    const struct decision_places *same =
        decision_same(d->arena, keys, (size_t)(q->resources_n > 0 ? q->resources_n : 0));
    for (int32_t i = 0; i < q->resources_n; i++) {
        const OLD *in = &q->resources[i];
        OLD_RESULT *out = &resp->responses[resp->responses_n++];
        struct alteration a = {
            .d = d, .type = in->resource_type, .resource = in->resource_name, .replace = true};
        struct op *ops = ARENA_ARRAY(d->arena, struct op, in->configs_n + 1);
        for (int32_t k = 0; k < in->configs_n; k++) {
            ops[k] = (struct op){in->configs[k].name, in->configs[k].value, OP_SET};
        }
        a.ops = ops;
        a.n = (size_t)(in->configs_n > 0 ? in->configs_n : 0);
        if (same[i].first != same[i].last) {
            fail(&a, KE_INVALID_REQUEST, bytes_str(twice_text));
        } else {
            alter(&a, q->validate_only);
        }
        out->error_code = a.code;
        out->error_message = a.message;
        out->resource_type = a.type;
        out->resource_name = a.resource;
    }
}
