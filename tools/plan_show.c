/* Plans for people and for programs. */
#include <stdio.h>

#include "tools/columns.h"
#include "tools/listing.h"
#include "tools/mover.h"
#include "tools/output.h"

enum { MOVES_SHOWN = 20, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400, YEAR_S = 365 * DAY_S };

const char *plan_size_text(struct arena *a, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1024 && unit < 4; unit++) {
        v /= 1024;
    }
    return arena_printf(a, unit ? "%.1f %s" : "%.0f %s", v, units[unit]);
}

static struct bytes change(struct arena *a, const char *was, const char *is)
{
    return bytes_str(arena_printf(a, "%s -> %s", was, is));
}

static const char *rate(struct arena *a, int64_t bytes)
{
    return arena_printf(a, "%s/s", plan_size_text(a, bytes));
}

static const char *number(struct arena *a, int32_t v)
{
    return arena_printf(a, "%d", v);
}

static const char *state_of(const struct view *v, const struct plan_broker *b)
{
    const struct view_broker *k = view_broker(v, b->id);
    return k->fenced ? "down" : k->silent ? "silent" : b->receives ? "up" : "takes nothing";
}

void plan_print(const struct plan *p, const struct plan *now)
{
    struct column columns[] = {
        {"BROKER", 0, true},   {"RACK", 0, true},    {"STATE", 0, true}, {"BYTES", 0, true},
        {"REPLICAS", 0, true}, {"LEADERS", 0, true}, {"LED/S", 0, true}, {"WRITTEN/S", 0, true},
    };
    size_t n = sizeof columns / sizeof columns[0] - (p->view->measured ? 0 : 2);
    struct arena *a = p->arena;
    struct table t;
    columns[n - 1].grows = false;
    table_begin(&t, columns, n);
    for (int32_t i = 0; i < p->brokers_n; i++) {
        const struct plan_broker *is = &p->brokers[i], *was = &now->brokers[i];
        struct bytes *row = table_row(&t);
        row[0] = cell_number(a, is->id);
        row[1] = cell_text(p->view->brokers[i].rack);
        row[2] = bytes_str(state_of(p->view, is));
        row[3] = change(a, plan_size_text(a, was->bytes), plan_size_text(a, is->bytes));
        row[4] = change(a, number(a, was->replicas), number(a, is->replicas));
        row[5] = change(a, number(a, was->leaders), number(a, is->leaders));
        if (p->view->measured) {
            row[6] = change(a, rate(a, was->led), rate(a, is->led));
            row[7] = change(a, rate(a, was->written), rate(a, is->written));
        }
    }
    table_print(&t);
    table_free(&t);
    struct plan_total total = plan_total(p);
    if (total.partitions == 0) {
        printf("Nothing has to move.\n");
        return;
    }
    printf("%d partition%s: %d replica%s with %s to be copied", total.partitions,
           total.partitions == 1 ? " changes" : "s change", total.copies,
           total.copies == 1 ? "" : "s", plan_size_text(a, total.bytes));
    printf(total.orders ? ", %d by a new order of replicas alone.\n" : ".\n", total.orders);
}

static void print_list(struct view_ids ids)
{
    for (int32_t i = 0; i < ids.n; i++) {
        printf("%s%d", i ? "," : "", ids.v[i]);
    }
}

void plan_print_moves(const struct plan *p)
{
    int32_t n = 0, all = plan_total(p).partitions;
    for (int32_t i = 0; i < p->parts_n && n < MOVES_SHOWN; i++) {
        const struct plan_part *part = &p->parts[i];
        if (plan_moves(part)) {
            printf("  %.*s-%d: ", BYTES_FMT(part->topic->name), part->index);
            print_list(part->from);
            printf(" -> ");
            print_list(part->to);
            if (plan_copies(part)) {
                printf(", %s", plan_size_text(p->arena, part->size));
            }
            if (part->written) {
                printf(", written %s", rate(p->arena, part->written));
            }
            printf("\n");
            n++;
        }
    }
    if (all > n) {
        printf("  and %d more (--json has all)\n", all - n);
    }
}

/* Rounded up: "at least" is said of it nowhere less than it is. */
static int64_t seconds(const struct plan *p, int64_t throttle)
{
    int64_t bytes = plan_heaviest(p);
    return bytes / throttle + (bytes % throttle != 0);
}

static const char *time_text(struct arena *a, int64_t s)
{
    static const struct {
        int64_t s;
        const char *name;
    } units[] = {{YEAR_S, "years"}, {DAY_S, "days"}, {HOUR_S, "h"}, {MINUTE_S, "min"}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (s >= 2 * units[i].s) {
            return arena_printf(a, "%lld %s", (long long)(s / units[i].s), units[i].name);
        }
    }
    return arena_printf(a, "%lld s", (long long)s);
}

void plan_print_time(const struct plan *p, int64_t throttle)
{
    int64_t s = throttle ? seconds(p, throttle) : 0;
    if (s == 0) {
        return;
    }
    const char *text = time_text(p->arena, s);
    printf("With --throttle %lld the moves take at least %s.\n", (long long)throttle, text);
    output_flush();
    if (s > DAY_S) {
        fprintf(
            stderr,
            "Warning: with --throttle %lld the moves take at least %s. It counts bytes a second: "
            "with %lld an hour would do. Ctrl-C and another run set another one.\n",
            (long long)throttle, text, (long long)(plan_heaviest(p) / HOUR_S + 1));
    }
}

static void json_moves(json_t *all, const struct plan *p)
{
    for (int32_t i = 0; i < p->parts_n; i++) {
        const struct plan_part *part = &p->parts[i];
        if (plan_moves(part)) {
            json_t *o = listing_item(all);
            json_put_text(o, "topic", part->topic->name);
            json_put_int(o, "partition", part->index);
            json_put_ids(o, "from", part->from.v, part->from.n);
            json_put_ids(o, "to", part->to.v, part->to.n);
            json_put_int(o, "copies", plan_copies(part));
            json_put_int(o, "size", part->size);
            json_put_known(o, "written", part->topic->partitions[part->index].written);
        }
    }
}

static void json_load(json_t *o, const char *name, const struct plan_broker *b, bool measured)
{
    json_t *v = json_object();
    json_put_int(v, "bytes", b->bytes);
    json_put_int(v, "replicas", b->replicas);
    json_put_int(v, "leaders", b->leaders);
    json_put_known(v, "led", measured ? b->led : -1);
    json_put_known(v, "written", measured ? b->written : -1);
    json_object_set_new(o, name, v);
}

void plan_print_json(const struct plan *p, const struct plan *now, int64_t throttle,
                     int32_t left_alone)
{
    json_t *all = listing_new("moves");
    struct plan_total total = plan_total(p);
    json_put_int(all, "copies", total.copies);
    json_put_int(all, "bytes", total.bytes);
    json_put_known(all, "seconds", throttle ? seconds(p, throttle) : -1);
    json_put_known(all, "unmeasured", p->view->measured ? p->view->unmeasured : -1);
    json_put_known(all, "leftAlone", left_alone);
    json_t *brokers = json_put_array(all, "brokers");
    for (int32_t i = 0; i < p->brokers_n; i++) {
        json_t *o = json_add_object(brokers);
        json_put_int(o, "id", p->brokers[i].id);
        json_put_text(o, "rack", p->view->brokers[i].rack);
        json_put_bool(o, "receives", p->brokers[i].receives);
        json_load(o, "now", &now->brokers[i], p->view->measured);
        json_load(o, "then", &p->brokers[i], p->view->measured);
    }
    json_moves(all, p);
    listing_print(all);
}
