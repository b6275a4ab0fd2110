/* See core_run.h: the host. */
#include "sim/core_run.h"

#include "base/crc32c.h"
#include "base/map.h"
#include "base/mem.h"
#include "sim/hooks.h"

/* ---- the log ---- */

static struct bytes copy(struct core_run *cr, struct bytes b)
{
    if (bytes_is_null(b)) {
        return b;
    }
    uint8_t *p = arena_alloc(&cr->log_arena, b.len + 1);
    memcpy(p, b.data, b.len);
    return bytes_of(p, b.len);
}

static void append(struct core_run *cr, const struct core_write *w)
{
    if (hooks_drop_commit()) {
        return; /* a breach: it is said to be there */
    }
    for (uint32_t i = 0; i < w->n; i++) {
        if (cr->log_n == cr->log_cap) {
            cr->log_cap = cr->log_cap ? 2 * cr->log_cap : 256;
            cr->log = mem_realloc(cr->log, cr->log_cap * sizeof(*cr->log));
        }
        cr->log[cr->log_n++] = w->records[i];
        cr->appended++;
        run_digest(cr->r, crc32c(0, w->records[i].key.data, w->records[i].key.len));
        run_digest(cr->r, crc32c(0, w->records[i].value.data, w->records[i].value.len));
        if (cr->r->verbose) {
            run_note(cr->r, "appended: key %08x, value %08x of %zu bytes",
                     crc32c(0, w->records[i].key.data, w->records[i].key.len),
                     crc32c(0, w->records[i].value.data, w->records[i].value.len),
                     w->records[i].value.len);
        }
    }
}

/* What a cleaner leaves: the last record of each key; tombstones stay, or go. */
static void compact(struct core_run *cr)
{
    struct map last = {0};
    size_t kept = 0;
    bool tombstones = run_chance(cr->r, 50);
    for (size_t i = 0; i < cr->log_n; i++) {
        map_put(&last, cr->log[i].key, &cr->log[i]);
    }
    for (size_t i = 0; i < cr->log_n; i++) {
        struct core_record *rec = &cr->log[i];
        if (map_get(&last, rec->key) == rec && (tombstones || !bytes_is_null(rec->value))) {
            cr->log[kept++] = *rec; /* only what lies before i is written over */
        }
    }
    map_free(&last);
    cr->log_n = kept;
}

/* ---- what a step wants done ---- */

static void note_lines(struct core_run *cr)
{
    while (!list_empty(&cr->fx.lines)) {
        struct list *n = list_pop_front(&cr->fx.lines);
        const struct group_line *l = LIST_ENTRY(n, struct group_line, node);
        if (cr->r->verbose) {
            run_note(cr->r, "%s%s", l->kind == GROUP_LINE_WARNING ? "WARN " : "", l->text);
        }
    }
}

static void take_write(struct core_run *cr, const struct group_write *w)
{
    struct core_write *cw = MEM_NEW(struct core_write);
    int64_t delay = 1 + (int64_t)run_below(cr->r, (uint64_t)cr->write_us_max);
    RUN_CHECK(cr->r, w->n > 0 && w->op != NULL);
    cw->op = w->op;
    cw->n = w->n;
    cw->records = ARENA_ARRAY(&cr->log_arena, struct core_record, w->n);
    for (uint32_t i = 0; i < w->n; i++) {
        cw->records[i] = (struct core_record){.key = copy(cr, w->records[i].key),
                                              .value = copy(cr, w->records[i].value),
                                              .wall_ms = core_wall_ms(cr)};
        RUN_CHECK(cr->r, cw->records[i].key.len > 0);
    }
    cw->due_us = core_now_us(cr) + delay;
    if (!list_empty(&cr->writes)) { /* in the order of the log */
        const struct core_write *before = LIST_ENTRY(cr->writes.prev, struct core_write, node);
        cw->due_us = cw->due_us > before->due_us ? cw->due_us : before->due_us;
    }
    list_push_back(&cr->writes, &cw->node);
    if (!sim_event_is_set(&cr->written)) {
        sim_clock_at(&cr->r->sim->clock, &cr->written, cw->due_us);
    }
}

static void arm(struct core_run *cr)
{
    int64_t due = cr->c != NULL ? group_coordinator_deadline(cr->c) : INT64_MAX;
    if (due == INT64_MAX) {
        sim_clock_cancel(&cr->r->sim->clock, &cr->tick);
        return;
    }
    if (due * 1000 + 1000000 < core_now_us(cr)) {
        run_fail(cr->r, "a deadline of %lld ms is set, %lld ms have passed", (long long)due,
                 (long long)(core_now_us(cr) / 1000));
    }
    sim_clock_at(&cr->r->sim->clock, &cr->tick, due * 1000 + (int64_t)run_below(cr->r, 3000));
}

static void carry_out(struct core_run *cr)
{
    while (!list_empty(&cr->fx.writes)) {
        struct list *n = list_pop_front(&cr->fx.writes);
        take_write(cr, LIST_ENTRY(n, struct group_write, node));
    }
    while (!list_empty(&cr->fx.replies)) {
        struct list *n = list_pop_front(&cr->fx.replies);
        struct group_ask *ask = LIST_ENTRY(n, struct group_ask, node);
        core_answered(ask->user);
    }
    note_lines(cr);
    group_effects_reset(&cr->fx);
    arm(cr);
}

void core_step(struct core_run *cr, struct group_event *ev)
{
    ev->now_ms = core_now_us(cr) / 1000;
    ev->wall_ms = core_wall_ms(cr);
    cr->r->steps++;
    run_digest(cr->r, (uint64_t)core_now_us(cr) << 8 | ev->kind);
    group_coordinator_step(cr->c, ev, &cr->fx);
    carry_out(cr);
}

static void on_tick(struct sim_event *se)
{
    struct core_run *cr = se->user;
    int64_t due = group_coordinator_deadline(cr->c);
    struct group_event ev = {.kind = GROUP_TICK};
    RUN_CHECK(cr->r, due <= core_now_us(cr) / 1000);
    core_step(cr, &ev);
    if (group_coordinator_deadline(cr->c) <= due) {
        run_fail(cr->r, "a tick at %lld ms leaves the deadline at %lld ms",
                 (long long)(core_now_us(cr) / 1000), (long long)group_coordinator_deadline(cr->c));
    }
}

static void on_written(struct sim_event *se)
{
    struct core_run *cr = se->user;
    struct core_write *w = LIST_ENTRY(list_pop_front(&cr->writes), struct core_write, node);
    static const int16_t codes[] = {KE_NOT_LEADER_OR_FOLLOWER, KE_KAFKA_STORAGE_ERROR,
                                    KE_NOT_ENOUGH_REPLICAS,    KE_REQUEST_TIMED_OUT,
                                    KE_MESSAGE_TOO_LARGE,      KE_UNKNOWN_SERVER_ERROR};
    struct group_event ev = {.kind = GROUP_WRITTEN, .op = w->op};
    if (cr->faulty && run_chance(cr->r, cr->fail_percent)) {
        ev.code = codes[run_below(cr->r, ARRAY_LEN(codes))];
        cr->fails++;
    } else {
        append(cr, w);
    }
    if (!list_empty(&cr->writes)) {
        const struct core_write *next = LIST_ENTRY(cr->writes.next, struct core_write, node);
        sim_clock_at(&cr->r->sim->clock, &cr->written, next->due_us);
    }
    mem_free(w);
    core_step(cr, &ev);
}

static void on_expire(struct sim_event *se)
{
    struct core_run *cr = se->user;
    struct group_event ev = {.kind = GROUP_EXPIRE};
    if (cr->c != NULL) {
        core_step(cr, &ev);
    }
    sim_clock_after(&cr->r->sim->clock, se, cr->expire_us);
}

/* ---- life ---- */

void core_start(struct core_run *cr)
{
    sim_clock_cancel(&cr->r->sim->clock, &cr->start);
    if (run_chance(cr->r, 30)) {
        compact(cr);
    }
    cr->c = group_coordinator_new(&cr->config, NULL);
    for (size_t i = 0; i < cr->log_n; i++) {
        struct group_replay at = {
            .producer_id = -1, .timestamp = cr->log[i].wall_ms, .offset = (int64_t)i};
        int err = group_coordinator_replay(cr->c, &at, cr->log[i].key, cr->log[i].value);
        if (err != 0) {
            run_fail(cr->r, "record %zu of the log, its own, cannot be read: %s", i, err_text(err));
        }
    }
    group_coordinator_loaded(cr->c, core_now_us(cr) / 1000, core_wall_ms(cr), &cr->fx);
    carry_out(cr);
    run_note(cr->r, "a coordinator has loaded %zu records", cr->log_n);
}

static void on_start(struct sim_event *se)
{
    core_start(se->user);
}

/* What was under way at its end is in the log up to some point, when the process is killed. */
static void writes_end(struct core_run *cr, bool kill)
{
    size_t stand = kill ? (size_t)run_below(cr->r, 6) : 0;
    while (!list_empty(&cr->writes)) {
        struct core_write *w = LIST_ENTRY(list_pop_front(&cr->writes), struct core_write, node);
        struct group_event ev = {
            .kind = GROUP_WRITTEN, .op = w->op, .code = KE_NOT_LEADER_OR_FOLLOWER};
        if (stand > 0) {
            append(cr, w);
            stand--;
        } else if (!kill) {
            core_step(cr, &ev); /* may append to the list, in principle */
        }
        mem_free(w);
    }
    sim_clock_cancel(&cr->r->sim->clock, &cr->written);
}

static void connections_break(struct core_run *cr)
{
    cr->ending = true;
    group_world_down(&cr->gw, false, false);
    cr->ending = false;
    cr->life++;
}

void core_end(struct core_run *cr, bool kill)
{
    struct group_event ev = {.kind = GROUP_UNLOAD,
                             .code = KE_NOT_COORDINATOR,
                             .now_ms = core_now_us(cr) / 1000,
                             .wall_ms = core_wall_ms(cr)};
    run_note(cr->r, "the coordinator %s", kill ? "is killed" : "is unloaded");
    cr->unloading = !kill;
    writes_end(cr, kill);
    if (kill) {
        cr->crashes++;
        connections_break(cr);
        group_coordinator_step(cr->c, &ev, &cr->fx);
        list_init(&cr->fx.writes); /* of another life */
        while (!list_empty(&cr->fx.replies)) {
            struct list *n = list_pop_front(&cr->fx.replies);
            struct core_ask *a = LIST_ENTRY(n, struct group_ask, node)->user;
            core_answered(a); /* to nobody */
        }
        note_lines(cr);
        group_effects_reset(&cr->fx);
    } else {
        cr->unloads++;
        core_step(cr, &ev);
        RUN_CHECK(cr->r, list_empty(&cr->writes));
        cr->unloading = false;
        connections_break(cr);
    }
    group_coordinator_free(cr->c);
    cr->c = NULL;
    arm(cr);
    cr->down_busy = run_chance(cr->r, 50);
    sim_clock_after(&cr->r->sim->clock, &cr->start, (int64_t)run_between(cr->r, 1, 3000000));
}

/* A topic was deleted, and made anew: nobody is told when its offsets have gone. */
static void topic_goes(struct core_run *cr)
{
    struct group_world *gw = &cr->gw;
    unsigned t = (unsigned)run_below(cr->r, gw->topics_n);
    struct group_event ev = {.kind = GROUP_TOPIC_GONE, .topic = bytes_str(gw->topics[t].name)};
    for (unsigned g = 0; g < gw->model.groups_n; g++) {
        for (unsigned p = 0; p < gw->topics[t].parts_n; p++) {
            struct gm_ref ref = group_model_forget(&gw->model, g, t, p);
            group_model_commit_done(&gw->model, ref, ERR_CLOSED, 0);
        }
    }
    core_step(cr, &ev);
}

static void on_fate(struct sim_event *se)
{
    struct core_run *cr = se->user;
    if (cr->faulty && cr->c != NULL && cr->topics_go && run_chance(cr->r, 30)) {
        topic_goes(cr);
    }
    if (cr->faulty && cr->c != NULL && run_chance(cr->r, cr->crash_percent)) {
        core_end(cr, run_chance(cr->r, 70));
    }
    sim_clock_after(&cr->r->sim->clock, se, (int64_t)run_between(cr->r, 1000, 8000000));
}

static void settings(struct core_run *cr)
{
    struct run *r = cr->r;
    static const int32_t delays[] = {0, 300, 3000};
    cr->config = (struct group_config){
        .session_min_ms = 500,
        .session_max_ms = 60000,
        .max_size = run_chance(r, 70) ? INT32_MAX : (int32_t)(1 + run_below(r, 6)),
        .initial_rebalance_delay_ms = delays[run_below(r, ARRAY_LEN(delays))],
        .offset_metadata_max = 4096,
        .offsets_retention_ms = (int64_t)7 * 24 * 3600 * 1000,
        .memory_max = 64 << 20,
    };
    cr->fail_percent = run_chance(r, 50) ? (unsigned)run_between(r, 1, 30) : 0;
    cr->crash_percent = run_chance(r, 70) ? (unsigned)run_between(r, 5, 60) : 0;
    cr->write_us_max = (int64_t)run_between(r, 1, 400000);
    cr->net_us_max = (int64_t)run_between(r, 1, 50000);
    cr->expire_us = run_chance(r, 40) ? (int64_t)run_between(r, 100000, 20000000) : 0;
    cr->topics_go = run_chance(r, 15);
    if (cr->expire_us != 0 && run_chance(r, 40)) {
        cr->config.offsets_retention_ms = (int64_t)run_between(r, 3000, 60000);
        cr->gw.model.retention_us = cr->config.offsets_retention_ms * 1000;
    }
    cr->gw.model.certain = true;
    cr->gw.model.flushed = true;
    cr->gw.model.expiring = cr->expire_us != 0;
    cr->gw.fetch_low = 8;
}

void core_init(struct core_run *cr, struct run *r)
{
    *cr = (struct core_run){.r = r, .life = 1};
    struct sim_clock *clock = &r->sim->clock;
    list_init(&cr->writes);
    group_effects_init(&cr->fx);
    group_world_init(&cr->gw, r, clock, &core_carrier, cr, false);
    settings(cr);
    sim_event_init(&cr->written, on_written, cr);
    sim_event_init(&cr->tick, on_tick, cr);
    sim_event_init(&cr->expire, on_expire, cr);
    sim_event_init(&cr->fate, on_fate, cr);
    sim_event_init(&cr->start, on_start, cr);
    if (cr->expire_us != 0) {
        sim_clock_after(clock, &cr->expire, cr->expire_us);
    }
    sim_clock_after(clock, &cr->fate, 1000000);
}

void core_free(struct core_run *cr)
{
    group_world_free(&cr->gw);
    group_effects_free(&cr->fx);
    arena_free(&cr->log_arena);
    mem_free(cr->log);
}
