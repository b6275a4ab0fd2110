/* consumer-groups --reset-offsets: which offsets a group would get, and with --execute commits
 * them. Only for a group without members, or one that does not exist yet. Offsets beyond the log
 * are moved to its end or beginning, with a warning on stderr. With --json a group that cannot be
 * reset leaves nothing of the others: half of a plan would be taken for all of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "proto_errors.h"
#include "tools/clock.h"
#include "tools/columns.h"
#include "tools/consumer_groups.h"
#include "tools/reset_time.h"
#include "tools/text.h"

enum { LATEST = -1, EARLIEST = -2 };

/* The partitions of one group and what they are reset to. */
struct plan {
    struct group_ref ref;
    struct part_offset *v; /* sorted */
    size_t n;
};

/* A line of --from-file. */
struct file_row {
    struct bytes group; /* null: the one of --group */
    struct part_offset p;
};

struct reset {
    struct cg *x;
    struct file_row *file;
    size_t file_n;
    int64_t time; /* of --to-datetime, --by-duration */
};

/* ---- the file ---- */

/* The next field of a line of CSV, "..." with "" for a quote in it, or up to the comma; *at moves
 * behind the comma, to NULL at the end of the line. false: a quote is not closed. */
static bool csv_field(struct arena *a, const char **at, struct bytes *out)
{
    const char *s = *at;
    char *text = arena_alloc(a, strlen(s) + 1);
    size_t n = 0;
    if (*s == '"') {
        for (s++; *s && (*s != '"' || s[1] == '"'); s++) {
            s += *s == '"';
            text[n++] = *s;
        }
        if (*s != '"') {
            return false;
        }
        s++;
    }
    while (*s && *s != ',') {
        text[n++] = *s++;
    }
    *out = bytes_of(text, n);
    *at = *s ? s + 1 : NULL;
    return true;
}

static bool csv_number(struct bytes b, int64_t max, int64_t *out)
{
    char text[32], *end;
    if (b.len == 0 || b.len >= sizeof text) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s", BYTES_FMT(b));
    *out = strtoll(text, &end, 10);
    return *end == 0 && *out <= max;
}

static bool parse_line(struct reset *r, const char *line, bool with_group, struct file_row *out)
{
    struct arena *a = &r->x->g.c.arena;
    struct bytes f[4];
    size_t n = 0;
    for (const char *at = line; at; n++) {
        if (n == ARRAY_LEN(f) || !csv_field(a, &at, &f[n])) {
            return false;
        }
    }
    int64_t partition, offset;
    size_t first = with_group ? 1 : 0;
    if (n != first + 3 || !csv_number(f[first + 1], INT32_MAX, &partition) ||
        !csv_number(f[first + 2], INT64_MAX, &offset)) {
        return false;
    }
    *out = (struct file_row){with_group ? f[0] : BYTES_NULL,
                             {.topic = f[first],
                              .partition = (int32_t)partition,
                              .leader = -1,
                              .epoch = -1,
                              .offset = offset}};
    return true;
}

/* Lines without a group are of the one group that is given; which kind the first line is decides.
 */
static int read_file(struct reset *r)
{
    struct client *c = &r->x->g.c;
    const char *path = args_get(&r->x->a, "from-file", "");
    struct buf text = {0};
    int rv = tool_read_file(path, &text, &c->error);
    char *copy = arena_strndup(&c->arena, text.data ? text.data : (const void *)"", text.len);
    buf_free(&text);
    size_t most = 1, number = 0; /* empty lines are none, but are counted */
    for (const char *s = copy; *s; s++) {
        most += *s == '\n';
    }
    r->file = ARENA_ARRAY(&c->arena, struct file_row, most);
    const char *const *groups = args_list(&r->x->a, "group");
    bool with_group = !(groups[0] && groups[1] == NULL);
    for (char *s; rv == 0 && (s = strsep(&copy, "\n"));) {
        size_t len = strlen(s);
        s[len && s[len - 1] == '\r' ? len - 1 : len] = 0;
        number++;
        struct file_row *row = &r->file[r->file_n];
        if (*s == 0) {
            continue;
        }
        if (r->file_n == 0 && !with_group && !parse_line(r, s, false, row)) {
            with_group = true;
        }
        if (!parse_line(r, s, with_group, row)) {
            rv = errmsg_set(&c->error, ERR_INVALID, "line %zu of %s is not of the form %s", number,
                            path,
                            with_group ? "group,topic,partition,offset" : "topic,partition,offset");
        }
        r->file_n++;
    }
    return rv;
}

/* ---- which partitions ---- */

static int fetch(struct reset *r, struct group_ref *ref, struct part_offset **v, size_t *n)
{
    int16_t code;
    int rv = group_client_fetch(&r->x->g, ref, v, n, &code);
    return rv == 0 && code
               ? errmsg_set(&r->x->g.c.error, ERR_CONFLICT, "%s", group_client_error_text(code))
               : rv;
}

static int from_topics(struct reset *r, struct plan *p)
{
    for (const char *const *t = args_list(&r->x->a, "topic"); *t; t++) {
        bool missing;
        int rv = cg_parse_topic(r->x, *t, &p->v, &p->n, &missing);
        if (rv || missing) {
            return rv ? rv
                      : errmsg_set(&r->x->g.c.error, ERR_NOTFOUND,
                                   "The topic \"%.300s\" does not exist", *t);
        }
    }
    return 0;
}

static int from_file(struct reset *r, struct plan *p)
{
    p->v = ARENA_ARRAY(&r->x->g.c.arena, struct part_offset, r->file_n + 1);
    for (size_t i = 0; i < r->file_n; i++) {
        if (bytes_is_null(r->file[i].group) || bytes_eq(r->file[i].group, p->ref.id)) {
            p->v[p->n++] = r->file[i].p;
        }
    }
    if (p->n == 0) {
        cg_error(r->x, "No reset plan for group %.*s found", BYTES_FMT(p->ref.id));
    }
    return 0;
}

/* Among equals the one that came first, whose number stands in leader until the leaders are known.
 */
static int by_part_and_place(const void *a, const void *b)
{
    const struct part_offset *x = a, *y = b;
    int c = part_offset_cmp(x, y);
    return c ? c : (x->leader > y->leader) - (x->leader < y->leader);
}

/* Sorted, each once: of several lines of a file the last counts. */
static void tidy_up(struct plan *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->n; i++) {
        p->v[i].leader = (int32_t)i;
    }
    if (p->n) {
        qsort(p->v, p->n, sizeof *p->v, by_part_and_place);
    }
    for (size_t i = 0; i < p->n; i++) {
        kept -= kept && part_offset_cmp(&p->v[kept - 1], &p->v[i]) == 0;
        p->v[kept++] = p->v[i];
    }
    p->n = kept;
}

/* All must be there and have a leader. */
static int check_parts(struct reset *r, const struct plan *p)
{
    struct client *c = &r->x->g.c;
    part_offsets_leaders(c, p->v, p->n);
    static const int16_t codes[] = {KE_UNKNOWN_TOPIC_OR_PARTITION, KE_LEADER_NOT_AVAILABLE};
    int rv = 0;
    for (size_t k = 0; rv == 0 && k < ARRAY_LEN(codes); k++) {
        struct buf names = {0};
        for (size_t i = 0; i < p->n; i++) {
            if (p->v[i].error == codes[k]) {
                buf_printf(&names, "%s%.*s-%d", names.len ? "," : "", BYTES_FMT(p->v[i].topic),
                           p->v[i].partition);
            }
        }
        if (names.len) {
            rv = errmsg_set(&c->error, ERR_NOTFOUND, "The partitions \"%.300s\" %s",
                            buf_cstr(&names), k ? "have no leader" : "do not exist");
        }
        buf_free(&names);
    }
    return rv;
}

static int choose_parts(struct reset *r, struct plan *p)
{
    int rv = args_has(&r->x->a, "from-file")    ? from_file(r, p)
             : args_has(&r->x->a, "all-topics") ? fetch(r, &p->ref, &p->v, &p->n)
                                                : from_topics(r, p);
    if (rv == 0) {
        tidy_up(p);
        rv = check_parts(r, p);
    }
    return rv;
}

/* ---- which offsets ---- */

static struct part_offset *copy_of(struct reset *r, const struct plan *p)
{
    struct part_offset *v = ARENA_ARRAY(&r->x->g.c.arena, struct part_offset, p->n + 1);
    memcpy(v, p->v, p->n * sizeof *v);
    return v;
}

static int to_log(struct reset *r, struct plan *p, int64_t time)
{
    return p->n ? group_client_log_offsets(&r->x->g, time, p->v, p->n) : 0;
}

static void moved(const struct part_offset *p, const char *how, int64_t to)
{
    fprintf(stderr,
            "WARN New offset (%lld) is %s offset for topic partition %.*s-%d. Value will be set to "
            "%lld.\n",
            (long long)p->offset, how, BYTES_FMT(p->topic), p->partition, (long long)to);
}

/* Offsets that lie outside the log are moved to where it begins or ends. */
static int keep_in_log(struct reset *r, struct plan *p)
{
    struct part_offset *first = copy_of(r, p), *end = copy_of(r, p);
    int rv = p->n ? group_client_log_offsets(&r->x->g, EARLIEST, first, p->n) : 0;
    rv = rv || p->n == 0 ? rv : group_client_log_offsets(&r->x->g, LATEST, end, p->n);
    for (size_t i = 0; rv == 0 && i < p->n; i++) {
        if (p->v[i].offset > end[i].offset) {
            moved(&p->v[i], "higher than latest", end[i].offset);
            p->v[i].offset = end[i].offset;
        } else if (p->v[i].offset < first[i].offset) {
            moved(&p->v[i], "lower than earliest", first[i].offset);
            p->v[i].offset = first[i].offset;
        }
    }
    return rv;
}

static int to_offset(struct reset *r, struct plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        p->v[i].offset = args_int(&r->x->a, "to-offset", 0, INT64_MIN, INT64_MAX);
    }
    return keep_in_log(r, p);
}

static int shift_by(struct reset *r, struct plan *p)
{
    int64_t by = args_int(&r->x->a, "shift-by", 0, INT64_MIN, INT64_MAX);
    struct part_offset *committed;
    size_t n;
    int rv = fetch(r, &p->ref, &committed, &n);
    for (size_t i = 0; rv == 0 && i < p->n; i++) {
        const struct part_offset *at =
            part_offset_find(committed, n, p->v[i].topic, p->v[i].partition);
        if (at == NULL) {
            args_fail(&r->x->a,
                      "Cannot shift offset for partition %.*s-%d since there is no current "
                      "committed offset",
                      BYTES_FMT(p->v[i].topic), p->v[i].partition);
        }
        if (__builtin_add_overflow(at->offset, by, &p->v[i].offset)) {
            p->v[i].offset = by < 0 ? INT64_MIN : INT64_MAX;
        }
    }
    return rv ? rv : keep_in_log(r, p);
}

/* Where no record is that late, the end. */
static int to_time(struct reset *r, struct plan *p)
{
    struct part_offset *end = copy_of(r, p);
    int rv = to_log(r, p, r->time);
    rv = rv || p->n == 0 ? rv : group_client_log_offsets(&r->x->g, LATEST, end, p->n);
    for (size_t i = 0; rv == 0 && i < p->n; i++) {
        if (p->v[i].offset < 0) {
            fprintf(args_has(&r->x->a, "json") ? stderr : stdout,
                    "\nWarn: Partition %d from topic %.*s is empty. Falling back to latest known "
                    "offset.\n",
                    p->v[i].partition, BYTES_FMT(p->v[i].topic));
            p->v[i].offset = end[i].offset;
        }
    }
    return rv;
}

static int to_current(struct reset *r, struct plan *p)
{
    struct part_offset *committed;
    size_t n;
    int rv = fetch(r, &p->ref, &committed, &n);
    rv = rv ? rv : to_log(r, p, LATEST);
    for (size_t i = 0; rv == 0 && i < p->n; i++) {
        const struct part_offset *at =
            part_offset_find(committed, n, p->v[i].topic, p->v[i].partition);
        p->v[i].offset = at ? at->offset : p->v[i].offset;
    }
    return rv;
}

static int choose_offsets(struct reset *r, struct plan *p)
{
    const struct args *a = &r->x->a;
    if (args_has(a, "to-offset")) {
        return to_offset(r, p);
    }
    if (args_has(a, "to-earliest") || args_has(a, "to-latest")) {
        return to_log(r, p, args_has(a, "to-earliest") ? EARLIEST : LATEST);
    }
    if (args_has(a, "shift-by")) {
        return shift_by(r, p);
    }
    if (args_has(a, "from-file")) {
        return keep_in_log(r, p);
    }
    return args_has(a, "to-current") ? to_current(r, p) : to_time(r, p);
}

/* ---- one group ---- */

static int commit(struct reset *r, struct plan *p)
{
    int rv = p->n ? group_client_commit(&r->x->g, &p->ref, p->v, p->n) : 0;
    struct buf names = {0};
    int16_t code = KE_NONE;
    for (size_t i = 0; rv == 0 && i < p->n; i++) {
        if (p->v[i].error) {
            code = code ? code : p->v[i].error;
            buf_printf(&names, "%s%.*s-%d", names.len ? ", " : "", BYTES_FMT(p->v[i].topic),
                       p->v[i].partition);
        }
    }
    if (code) {
        rv = errmsg_set(&r->x->g.c.error, ERR_CONFLICT,
                        "Failed altering group offsets for the following partitions: [%.300s]: %s",
                        buf_cstr(&names), group_client_error_text(code));
    }
    buf_free(&names);
    return rv;
}

static int is_streams_group(struct cg *x, struct bytes id, bool *is)
{
    struct group_listing *v;
    size_t n;
    int rv = group_client_list(&x->g, NULL, 0, NULL, 0, &v, &n);
    *is = false;
    for (size_t i = 0; rv == 0 && i < n; i++) {
        *is |= bytes_eq(v[i].id, id) && bytes_eq_str(v[i].type, "Streams");
    }
    return rv;
}

/* May the offsets of the group be set? */
static int is_idle(struct reset *r, struct plan *p, bool *idle)
{
    struct group_desc d;
    int rv = group_client_describe(&r->x->g, &p->ref, &d);
    *idle = true;
    if (rv == 0 && d.error == KE_GROUP_ID_NOT_FOUND) {
        bool streams;
        rv = is_streams_group(r->x, p->ref.id, &streams);
        *idle = !streams;
        if (rv == 0 && streams) {
            cg_error(r->x, "Group '%.*s' is a streams group; its offsets are not reset here.",
                     BYTES_FMT(p->ref.id));
        }
    } else if (rv == 0 && d.error) {
        char text[400];
        rv = errmsg_set(&r->x->g.c.error, ERR_CONFLICT, "%s",
                        cg_exception(d.error, d.message, text, sizeof text));
    } else if (rv == 0 && !bytes_eq_str(d.state, "Empty") && !bytes_eq_str(d.state, "Dead")) {
        *idle = false;
        cg_error(r->x,
                 "Assignments can only be reset if the group '%.*s' is inactive, but the current "
                 "state is %.*s.",
                 BYTES_FMT(p->ref.id), BYTES_FMT(d.state));
    }
    p->ref = rv ? p->ref : d.ref;
    return rv;
}

static int reset_group(struct reset *r, struct plan *p)
{
    bool idle;
    int rv = is_idle(r, p, &idle);
    if (rv || !idle) {
        return rv;
    }
    rv = choose_parts(r, p);
    rv = rv ? rv : choose_offsets(r, p);
    return rv == 0 && args_has(&r->x->a, "execute") ? commit(r, p) : rv;
}

/* ---- output ---- */

/* A field of CSV, in quotes where that is needed, and where Kafka's writer does not look: behind 24
 * characters. */
static void put_csv(struct bytes b)
{
    bool quoted = b.len > 24 || b.len == 0;
    for (size_t i = 0; i < b.len; i++) {
        quoted |= b.data[i] == ',' || b.data[i] == '"' || b.data[i] < ' ';
    }
    if (!quoted) {
        printf("%.*s", BYTES_FMT(b));
        return;
    }
    putchar('"');
    for (size_t i = 0; i < b.len; i++) {
        printf(b.data[i] == '"' ? "\"%c" : "%c", b.data[i]);
    }
    putchar('"');
}

static void export_plans(struct reset *r, const struct plan *v, size_t n)
{
    const char *const *groups = args_list(&r->x->a, "group");
    bool one = groups[0] && groups[1] == NULL;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].n; k++) {
            if (!one) {
                put_csv(v[i].ref.id);
                putchar(',');
            }
            put_csv(v[i].v[k].topic);
            printf(",%d,%lld\n", v[i].v[k].partition, (long long)v[i].v[k].offset);
        }
    }
    putchar('\n');
}

static void print_plans(struct reset *r, const struct plan *v, size_t n)
{
    static const struct column columns[] = {{"GROUP", 15, true},
                                            {"TOPIC", 15, true},
                                            {"PARTITION", 10, false},
                                            {"NEW-OFFSET", 0, false}};
    struct table t;
    table_begin(&t, columns, ARRAY_LEN(columns));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].n; k++) {
            struct bytes *row = table_row(&t);
            row[0] = v[i].ref.id;
            row[1] = v[i].v[k].topic;
            row[2] = cell_number(&r->x->g.c.arena, v[i].v[k].partition);
            row[3] = cell_number(&r->x->g.c.arena, v[i].v[k].offset);
        }
    }
    putchar('\n');
    if (n) {
        table_print(&t);
    }
    table_free(&t);
}

static void json_plans(const struct plan *v, size_t n)
{
    json_t *all = listing_new("reset-offsets");
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].n; k++) {
            json_t *o = listing_item(all);
            json_put_text(o, "group", v[i].ref.id);
            json_put_text(o, "topic", v[i].v[k].topic);
            json_put_int(o, "partition", v[i].v[k].partition);
            json_put_int(o, "newOffset", v[i].v[k].offset);
        }
    }
    listing_print(all);
}

static int read_time(struct reset *r)
{
    const struct args *a = &r->x->a;
    struct errmsg *em = &r->x->g.c.error;
    if (args_has(a, "to-datetime")) {
        return parse_datetime(args_get(a, "to-datetime", ""), &r->time, em);
    }
    int64_t ago = 0;
    int rv =
        args_has(a, "by-duration") ? parse_duration(args_get(a, "by-duration", ""), &ago, em) : 0;
    r->time = wall_ms() - ago;
    return rv;
}

int cg_reset_offsets(struct cg *x)
{
    struct reset r = {.x = x};
    struct group_ref *refs;
    size_t n;
    int rv = read_time(&r);
    rv = rv == 0 && args_has(&x->a, "from-file") ? read_file(&r) : rv;
    rv = rv ? rv : cg_selected(x, &refs, &n);
    if (rv) {
        return rv;
    }
    struct plan *plans = ARENA_ARRAY(&x->g.c.arena, struct plan, n + 1);
    for (size_t i = 0; rv == 0 && i < n; i++) {
        plans[i].ref = refs[i];
        rv = reset_group(&r, &plans[i]);
    }
    if (rv == 0 && args_has(&x->a, "json")) {
        if (!x->failed) {
            json_plans(plans, n);
        }
    } else if (rv == 0 && args_has(&x->a, "export")) {
        export_plans(&r, plans, n);
    } else if (rv == 0) {
        print_plans(&r, plans, n);
    }
    return rv;
}
