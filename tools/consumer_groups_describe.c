/* consumer-groups --describe: offsets, members or state of groups, in Kafka's columns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto_errors.h"
#include "tools/columns.h"
#include "tools/consumer_groups.h"
#include "tools/output.h"

/* Says what there is to say of the group's state; is there a table to print? */
static int print_state(struct cg *x, const struct group_desc *d, size_t rows, bool *shown)
{
    static const char *const rebalancing[] = {"PreparingRebalance", "CompletingRebalance",
                                              "Assigning", "Reconciling"};
    *shown = rows > 0;
    output_flush();
    for (size_t i = 0; i < ARRAY_LEN(rebalancing); i++) {
        if (bytes_eq_str(d->state, rebalancing[i])) {
            fprintf(stderr, "\nWarning: Consumer group '%.*s' is rebalancing.\n",
                    BYTES_FMT(d->ref.id));
            return 0;
        }
    }
    if (bytes_eq_str(d->state, "Dead")) {
        cg_error(x, "Consumer group '%.*s' does not exist.", BYTES_FMT(d->ref.id));
        *shown = false;
    } else if (bytes_eq_str(d->state, "Empty")) {
        fprintf(stderr, "\nConsumer group '%.*s' has no active members.\n", BYTES_FMT(d->ref.id));
    } else if (!bytes_eq_str(d->state, "Stable")) {
        return errmsg_set(&x->g.c.error, ERR_INVALID,
                          "Expected a valid consumer group state, but found '%.*s'.",
                          BYTES_FMT(d->state));
    }
    return 0;
}

/* ---- offsets ---- */

struct member_row {
    const struct group_member *m;
    size_t at;
};

/* Most partitions first; in the broker's order among equals. */
static int by_assigned(const void *a, const void *b)
{
    const struct member_row *x = a, *y = b;
    if (x->m->assigned_n != y->m->assigned_n) {
        return x->m->assigned_n < y->m->assigned_n ? 1 : -1;
    }
    return (x->at > y->at) - (x->at < y->at);
}

static const struct column offset_columns[] = {
    {"GROUP", 15, true},         {"TOPIC", 15, true},           {"PARTITION", 10, false},
    {"LEADER-EPOCH", 15, false}, {"CURRENT-OFFSET", 15, false}, {"LOG-END-OFFSET", 15, false},
    {"LAG", 15, false},          {"CONSUMER-ID", 15, true},     {"HOST", 15, true},
    {"CLIENT-ID", 0, false},
};
enum { LEADER_EPOCH_COLUMN = 3 };

struct offset_rows {
    struct cg *x;
    const struct group_desc *d;
    struct part_offset *committed;
    size_t committed_n;
    struct part_offset *ends; /* of all that have a leader, sorted */
    size_t ends_n;
    struct table table;
    bool verbose;
};

static void offset_row(struct offset_rows *o, const struct part_offset *p,
                       const struct group_member *m)
{
    struct arena *a = &o->x->g.c.arena;
    const struct part_offset *done =
        part_offset_find(o->committed, o->committed_n, p->topic, p->partition);
    const struct part_offset *end = part_offset_find(o->ends, o->ends_n, p->topic, p->partition);
    struct bytes *row = table_row(&o->table);
    size_t k = 0;
    row[k++] = o->d->ref.id;
    row[k++] = p->topic;
    row[k++] = cell_number(a, p->partition);
    if (o->verbose) {
        row[k++] = cell_number(a, done ? done->epoch : -1);
    }
    row[k++] = cell_number(a, done ? done->offset : -1);
    row[k++] = cell_number(a, end ? end->offset : -1);
    if (done && end) {
        row[k] = bytes_str(arena_printf(a, "%lld", (long long)(end->offset - done->offset)));
    }
    k++;
    if (m) {
        row[k++] = cell_text(m->id);
        row[k++] = cell_text(m->host);
        row[k] = m->client_id;
    }
}

/* The ends of the log of all partitions that the group has to do with and that have a leader. */
static int fetch_ends(struct offset_rows *o)
{
    size_t most = o->committed_n, n = 0;
    for (size_t i = 0; i < o->d->members_n; i++) {
        most += o->d->members[i].assigned_n;
    }
    struct part_offset *v = ARENA_ARRAY(&o->x->g.c.arena, struct part_offset, most + 1);
    memcpy(v, o->committed, o->committed_n * sizeof *v);
    n = o->committed_n;
    for (size_t i = 0; i < o->d->members_n; i++) {
        const struct group_member *m = &o->d->members[i];
        if (m->assigned_n) {
            memcpy(v + n, m->assigned, m->assigned_n * sizeof *v);
            n += m->assigned_n;
        }
    }
    qsort(v, n, sizeof *v, part_offset_cmp);
    part_offsets_leaders(&o->x->g.c, v, n);
    o->ends = v;
    o->ends_n = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i].leader >= 0 &&
            (o->ends_n == 0 || part_offset_cmp(&v[o->ends_n - 1], &v[i]) != 0)) {
            v[o->ends_n++] = v[i];
        }
    }
    return o->ends_n ? group_client_log_offsets(&o->x->g, -1, o->ends, o->ends_n) : 0;
}

/* What is committed, and where the logs end. */
static int fetch_offsets(struct offset_rows *o, struct group_ref *ref)
{
    struct group_client *g = &o->x->g;
    int16_t code;
    int rv = group_client_fetch(g, ref, &o->committed, &o->committed_n, &code);
    if (rv == 0 && code) {
        rv = errmsg_set(&g->c.error, ERR_CONFLICT, "%s", group_client_error_text(code));
    }
    return rv ? rv : fetch_ends(o);
}

static bool is_assigned(const struct group_desc *d, const struct part_offset *p)
{
    for (size_t i = 0; i < d->members_n; i++) {
        if (part_offset_find(d->members[i].assigned, d->members[i].assigned_n, p->topic,
                             p->partition)) {
            return true;
        }
    }
    return false;
}

static void fill_rows(struct offset_rows *o)
{
    size_t n = o->d->members_n;
    struct member_row *v = ARENA_ARRAY(&o->x->g.c.arena, struct member_row, n + 1);
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct member_row){&o->d->members[i], i};
    }
    qsort(v, n, sizeof *v, by_assigned);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].m->assigned_n; k++) {
            offset_row(o, &v[i].m->assigned[k], v[i].m);
        }
    }
    for (size_t i = 0; i < o->committed_n; i++) {
        if (!is_assigned(o->d, &o->committed[i])) {
            offset_row(o, &o->committed[i], NULL);
        }
    }
}

static int describe_offsets(struct cg *x, struct group_desc *d)
{
    struct offset_rows o = {.x = x, .d = d, .verbose = args_has(&x->a, "verbose")};
    int rv = fetch_offsets(&o, &d->ref);
    if (rv) {
        return rv;
    }
    struct column columns[ARRAY_LEN(offset_columns)];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(offset_columns); i++) {
        if (i != LEADER_EPOCH_COLUMN || o.verbose) {
            columns[n++] = offset_columns[i];
        }
    }
    bool shown;
    table_begin(&o.table, columns, n);
    fill_rows(&o);
    rv = print_state(x, d, o.table.rows, &shown);
    if (rv == 0 && shown) {
        putchar('\n');
        table_print(&o.table);
    }
    table_free(&o.table);
    return rv;
}

/* ---- members ---- */

/* "t:0,1;u:2", "-" when there is none. */
static struct bytes assignment_text(struct cg *x, const struct part_offset *v, size_t n)
{
    struct buf b = {0};
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || !bytes_eq(v[i].topic, v[i - 1].topic)) {
            buf_printf(&b, "%s%.*s:%d", i ? ";" : "", BYTES_FMT(v[i].topic), v[i].partition);
        } else {
            buf_printf(&b, ",%d", v[i].partition);
        }
    }
    struct bytes text =
        bytes_str(arena_strndup(&x->g.c.arena, b.data ? b.data : (void *)"", b.len));
    buf_free(&b);
    return cell_text(text);
}

struct member_view {
    bool instances; /* a member is static */
    bool verbose;
    bool mixed; /* members of both protocols */
};

static void member_row(struct cg *x, struct table *t, const struct group_desc *d,
                       const struct group_member *m, const struct member_view *view)
{
    struct arena *a = &x->g.c.arena;
    struct bytes *row = table_row(t);
    size_t k = 0;
    row[k++] = d->ref.id;
    row[k++] = m->id;
    if (view->instances) {
        row[k++] = m->instance_id;
    }
    row[k++] = m->host;
    row[k++] = m->client_id;
    row[k++] = cell_number(a, (int64_t)m->assigned_n);
    if (view->verbose) {
        row[k++] = cell_number(a, m->epoch);
        row[k++] = assignment_text(x, m->assigned, m->assigned_n);
        row[k++] = cell_number(a, d->target_epoch);
        row[k++] = assignment_text(x, m->target, m->target_n);
    }
    if (view->mixed) {
        row[k] = bytes_str(m->upgraded == 1 ? "true" : m->upgraded == 0 ? "false" : "-");
    }
}

static int describe_members(struct cg *x, struct group_desc *d)
{
    struct member_view view = {.verbose = args_has(&x->a, "verbose")};
    bool classic = false, newer = false, shown;
    int rv = print_state(x, d, d->members_n, &shown);
    for (size_t i = 0; i < d->members_n; i++) {
        view.instances |= d->members[i].instance_id.len > 0;
        classic |= d->members[i].upgraded == 0;
        newer |= d->members[i].upgraded == 1;
    }
    view.mixed = view.verbose && classic && newer;
    struct column columns[16] = {{"GROUP", 15, true}, {"CONSUMER-ID", 15, true}};
    size_t n = 2;
    if (view.instances) {
        columns[n++] = (struct column){"GROUP-INSTANCE-ID", 17, true};
    }
    columns[n++] = (struct column){"HOST", 15, true};
    columns[n++] = (struct column){"CLIENT-ID", 15, true};
    columns[n++] = (struct column){"#PARTITIONS", view.verbose ? 15 : 16, false};
    if (view.verbose) {
        columns[n++] = (struct column){"CURRENT-EPOCH", 15, false};
        columns[n++] = (struct column){"CURRENT-ASSIGNMENT", 20, true};
        columns[n++] = (struct column){"TARGET-EPOCH", 15, false};
        columns[n++] = (struct column){"TARGET-ASSIGNMENT", 20, true};
    }
    if (view.mixed) {
        columns[n++] = (struct column){"UPGRADED", 0, false};
    }
    struct table t;
    table_begin(&t, columns, n);
    for (size_t i = 0; i < d->members_n; i++) {
        member_row(x, &t, d, &d->members[i], &view);
    }
    if (rv == 0) {
        putchar('\n');
        table_print(&t);
    }
    table_free(&t);
    return rv;
}

/* ---- state ---- */

static struct bytes coordinator_text(struct cg *x, int32_t node)
{
    const struct metadata_response *m = x->g.c.metadata;
    for (int32_t i = 0; i < m->brokers_n; i++) {
        if (m->brokers[i].node_id == node) {
            return bytes_str(arena_printf(&x->g.c.arena, "%.*s:%d  (%d)",
                                          BYTES_FMT(m->brokers[i].host), m->brokers[i].port, node));
        }
    }
    return bytes_str(arena_printf(&x->g.c.arena, "(%d)", node));
}

static int describe_state(struct cg *x, struct group_desc *d)
{
    struct arena *a = &x->g.c.arena;
    bool verbose = args_has(&x->a, "verbose"), shown;
    int rv = print_state(x, d, 1, &shown);
    if (rv || !shown) {
        return rv;
    }
    struct column columns[7] = {{"GROUP", 15, true},
                                {"COORDINATOR (ID)", 25, true},
                                {"ASSIGNMENT-STRATEGY", 20, false},
                                {"STATE", 20, false}};
    size_t n = 4;
    if (verbose) {
        columns[n++] = (struct column){"GROUP-EPOCH", 15, false};
        columns[n++] = (struct column){"TARGET-ASSIGNMENT-EPOCH", 25, false};
    }
    columns[n++] = (struct column){"#MEMBERS", 0, false};
    struct table t;
    table_begin(&t, columns, n);
    struct bytes *row = table_row(&t);
    row[0] = d->ref.id;
    row[1] = coordinator_text(x, d->ref.coordinator);
    row[2] = cell_text(d->assignor);
    row[3] = d->state;
    if (verbose) {
        row[4] = cell_number(a, d->epoch);
        row[5] = cell_number(a, d->target_epoch);
    }
    row[n - 1] = cell_number(a, (int64_t)d->members_n);
    putchar('\n');
    table_print(&t);
    table_free(&t);
    return 0;
}

/* ---- --json: all views of a group in one item ---- */

static void json_partitions(json_t *list, const struct part_offset *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_add_object(list);
        json_put_text(o, "topic", v[i].topic);
        json_put_int(o, "partition", v[i].partition);
    }
}

static void json_members(json_t *list, const struct group_desc *d)
{
    for (size_t i = 0; i < d->members_n; i++) {
        const struct group_member *m = &d->members[i];
        json_t *o = json_add_object(list);
        json_put_text(o, "memberId", m->id);
        json_put_text(o, "instanceId", m->instance_id.len ? m->instance_id : BYTES_NULL);
        json_put_text(o, "clientId", m->client_id);
        json_put_text(o, "host", m->host);
        json_put_known(o, "epoch", m->epoch);
        json_partitions(json_put_array(o, "partitions"), m->assigned, m->assigned_n);
    }
}

/* Whom the partition is assigned to; null: nobody. */
static struct bytes member_of(const struct group_desc *d, const struct part_offset *p)
{
    for (size_t i = 0; i < d->members_n; i++) {
        const struct group_member *m = &d->members[i];
        if (part_offset_find(m->assigned, m->assigned_n, p->topic, p->partition)) {
            return m->id;
        }
    }
    return BYTES_NULL;
}

static void json_offset(json_t *list, const struct offset_rows *o, const struct part_offset *p)
{
    const struct part_offset *done =
        part_offset_find(o->committed, o->committed_n, p->topic, p->partition);
    const struct part_offset *end = part_offset_find(o->ends, o->ends_n, p->topic, p->partition);
    json_t *row = json_add_object(list);
    json_put_text(row, "topic", p->topic);
    json_put_int(row, "partition", p->partition);
    json_put_known(row, "committedOffset", done ? done->offset : -1);
    json_put_known(row, "leaderEpoch", done ? done->epoch : -1);
    json_put_known(row, "logEndOffset", end ? end->offset : -1);
    if (done && end) {
        json_put_int(row, "lag", end->offset - done->offset);
    } else {
        json_put_null(row, "lag");
    }
    json_put_text(row, "memberId", member_of(o->d, p));
}

static int describe_json(struct cg *x, struct group_desc *d, json_t *item)
{
    struct offset_rows o = {.x = x, .d = d};
    int rv = fetch_offsets(&o, &d->ref);
    if (rv) {
        return rv;
    }
    json_put_text(item, "group", d->ref.id);
    json_put_text(item, "state", d->state);
    json_put_text(item, "protocol", d->protocol_type);
    json_put_text(item, "assignor", d->assignor.len ? d->assignor : BYTES_NULL);
    json_put_known(item, "coordinator", d->ref.coordinator);
    json_put_known(item, "epoch", d->epoch);
    json_members(json_put_array(item, "members"), d);
    json_t *offsets = json_put_array(item, "offsets");
    for (size_t i = 0; i < o.committed_n; i++) {
        json_offset(offsets, &o, &o.committed[i]);
    }
    for (size_t i = 0; i < d->members_n; i++) { /* what is assigned and not committed */
        for (size_t k = 0; k < d->members[i].assigned_n; k++) {
            const struct part_offset *p = &d->members[i].assigned[k];
            if (part_offset_find(o.committed, o.committed_n, p->topic, p->partition) == NULL) {
                json_offset(offsets, &o, p);
            }
        }
    }
    return 0;
}

static int describe_all_json(struct cg *x, struct group_desc *all, size_t n)
{
    json_t *listing = listing_new("consumer-groups");
    int rv = 0;
    for (size_t i = 0; rv == 0 && i < n; i++) {
        rv = describe_json(x, &all[i], listing_item(listing));
    }
    if (rv) {
        json_decref(listing);
    } else {
        listing_print(listing);
    }
    return rv;
}

int cg_describe(struct cg *x)
{
    int (*one)(struct cg *, struct group_desc *) = args_has(&x->a, "members") ? describe_members
                                                   : args_has(&x->a, "state") ? describe_state
                                                                              : describe_offsets;
    struct group_ref *v;
    size_t n;
    int rv = cg_selected(x, &v, &n);
    struct group_desc *all = ARENA_ARRAY(&x->g.c.arena, struct group_desc, n + 1);
    for (size_t i = 0; rv == 0 && i < n; i++) {
        char text[400];
        rv = group_client_describe(&x->g, &v[i], &all[i]);
        if (rv == 0 && all[i].error) {
            rv = errmsg_set(&x->g.c.error, ERR_NOTFOUND, "%s",
                            cg_exception(all[i].error, all[i].message, text, sizeof text));
        }
    }
    if (rv == 0 && args_has(&x->a, "json")) {
        return describe_all_json(x, all, n);
    }
    for (size_t i = 0; rv == 0 && i < n; i++) {
        rv = one(x, &all[i]);
    }
    return rv;
}
