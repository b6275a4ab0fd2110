#include "broker/disk_room.h"

#include "base/mem.h"
#include "storage/log_dir.h"
#include "storage/log_store.h"

enum {
    LOOK_MS = 1000,
    QUIET_MS = 5000, /* without a write that failed, before there is room again */
    ROOM_PART = 100, /* of the disk has to be free for that, */
};
#define ROOM_MAX (UINT64_C(1) << 30) /* or so many bytes: a segment, as settings are by default */

struct disk_room {
    struct node *node;
    struct shard *shard; /* main */
    uint64_t full;       /* bit by index in log.dirs */
    int64_t since_ms[LOG_STORE_DIRS_MAX];
    int64_t failed_ms[LOG_STORE_DIRS_MAX]; /* a write, last */
    struct timer look;                     /* while one is full */
    void (*changed)(struct node *n);
};

/* ---- room again ---- */

static bool has_room(const struct disk_room *r, unsigned dir)
{
    const struct node *n = r->node;
    uint64_t total, usable;
    if (shard_now_ms(r->shard) - r->failed_ms[dir] < QUIET_MS ||
        io_disk_space(r->shard->io, n->log_dirs[dir]->path, &total, &usable)) {
        return false;
    }
    return usable >= (total / ROOM_PART < ROOM_MAX ? total / ROOM_PART : ROOM_MAX);
}

static void look_at(struct disk_room *r, unsigned dir)
{
    const struct node *n = r->node;
    bool online = node_dir_is_online(n, dir);
    if (online && !has_room(r, dir)) {
        return;
    }
    r->full &= ~(UINT64_C(1) << dir);
    if (online) {
        log_info(n->log, "disk", "a log directory has room again dir=%s full_ms=%lld",
                 n->log_dirs[dir]->path, (long long)(shard_now_ms(r->shard) - r->since_ms[dir]));
    }
}

static void on_look(struct timer *t)
{
    struct disk_room *r = t->user;
    uint64_t before = r->full;
    for (unsigned d = 0; d < r->node->log_dirs_n; d++) {
        if (r->full >> d & 1) {
            look_at(r, d);
        }
    }
    if (r->full != before) {
        r->changed(r->node);
    }
    if (r->full) {
        timer_set(r->shard, &r->look, shard_now_ms(r->shard) + LOOK_MS);
    }
}

/* ---- no room ---- */

static void note(struct disk_room *r, unsigned dir)
{
    struct node *n = r->node;
    int64_t now = shard_now_ms(r->shard);
    if (!node_dir_is_online(n, dir)) {
        return;
    }
    r->failed_ms[dir] = now;
    if (r->full >> dir & 1) {
        return;
    }
    r->full |= UINT64_C(1) << dir;
    r->since_ms[dir] = now;
    log_warn(n->log, "disk",
             "the disk of a log directory is full: other replicas lead where they can dir=%s",
             n->log_dirs[dir]->path);
    if (!timer_is_set(&r->look)) {
        timer_set(r->shard, &r->look, now + LOOK_MS);
    }
    r->changed(n);
}

static void report_run(struct shard *sh, struct call *c)
{
    struct disk_room_news *news = c->user;
    struct node *n = news->node;
    for (unsigned d = 0; n->room && d < n->log_dirs_n; d++) { /* none: the node stops */
        if (news->dirs >> d & 1) {
            note(n->room, d);
        }
    }
    call_finish(sh, c);
}

static void report_done(struct shard *sh, struct call *c)
{
    struct disk_room_news *news = c->user;
    UNUSED(sh);
    news->out = false;
}

void disk_room_report(struct node_shard *ns, struct disk_room_news *news, uint64_t dirs)
{
    ASSERT(!news->out);
    news->out = true;
    news->node = ns->node;
    news->dirs = dirs;
    call_start(ns->shard, 0, &news->call, report_run, report_done, news);
}

/* ---- from outside ---- */

struct disk_room *disk_room_new(struct node *n, void (*changed)(struct node *n))
{
    struct disk_room *r = MEM_NEW(struct disk_room);
    r->node = n;
    r->shard = n->shards[0].shard;
    r->changed = changed;
    r->look = (struct timer){.cb = on_look, .user = r};
    return r;
}

void disk_room_free(struct disk_room *r)
{
    if (r) {
        timer_cancel(r->shard, &r->look);
        mem_free(r);
    }
}

bool disk_room_is_full(const struct disk_room *r, unsigned dir)
{
    return disk_room_full_ms(r, dir) >= 0;
}

int64_t disk_room_full_ms(const struct disk_room *r, unsigned dir)
{
    return r && (r->full >> dir & 1) ? shard_now_ms(r->shard) - r->since_ms[dir] : -1;
}
