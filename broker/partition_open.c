/* How a partition gets its log.
 *
 *     first delta  -> the directory that held it when the node started: opened, with recovery
 *     none held it -> made, in the directory that the metadata names or the one with fewest
 *     beside it    -> a future log is filled on, a log that was replaced is removed (dir_move.h)
 *
 * While a directory is offline, a replica of which the metadata says that it lies in none of the
 * others is not made: an empty one might lead.
 *
 * A log of another topic of the same name (deleted and made anew while this broker was away) is set
 * aside as -stray.
 *
 * Failure modes: a log that can be neither opened nor made leaves the partition offline, its files
 * as they were (struct partition_unopened: the checkpoints keep its numbers, and a stop does not
 * vouch for its directory). If it was space that was missing, partition_reopen_cb tries again every
 * second; anything else waits for a restart.
 *
 * Shard: home shard of the partition. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/dir_assign.h"
#include "broker/dir_move.h"
#include "broker/group_host.h"
#include "broker/partition_manager.h"
#include "broker/replica/fetcher.h"
#include "broker/run_before.h"
#include "controller/image.h"
#include "storage/log_dir.h"

enum {
    NAME_MAX_LEN = 300, /* topic (249), dash, partition */
    PATH_LEN = 4096,
    REOPEN_MS = 1000,
};

/* First of the directory's entries whose name is not below `name`, as of the node's start. */
static size_t entry_from(const struct log_dir *dir, const char *name)
{
    size_t lo = 0;
    size_t hi = dir->entry_count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (strcmp(dir->entries[mid].name, name) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static bool holds(const struct log_dir *dir, const char *name)
{
    size_t i = entry_from(dir, name);
    return i < dir->entry_count && dir->entries[i].kind == LOG_DIR_PLAIN &&
           strcmp(dir->entries[i].name, name) == 0;
}

/* The future log of the partition in the directory; NULL: none. */
static const struct log_dir_entry *future_in(const struct log_dir *dir, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = entry_from(dir, name); i < dir->entry_count; i++) {
        const struct log_dir_entry *e = &dir->entries[i];
        if (strncmp(e->name, name, n) != 0) {
            break;
        }
        if (e->kind == LOG_DIR_FUTURE && plog_base_name(e->name) == n) {
            return e;
        }
    }
    return NULL;
}

/* Does the metadata say that this broker's replica lies there? */
static bool is_named(const struct node *n, const struct image_partition *ip,
                     const struct log_dir *dir)
{
    for (uint32_t i = 0; i < ip->replicas_n && i < ip->directories_n; i++) {
        if (ip->replicas[i] == n->id) {
            return uuid_eq(ip->directories[i], dir->meta.directory_id);
        }
    }
    return false;
}

/* The directory that held the partition when the node started; NULL: none. Two, if the node ended
 * between the promotion of a future log and the removal of the log that it replaced (dir_move.h):
 * the metadata names the one that counts. */
static const struct log_dir *dir_holding(const struct node *n, const struct image_partition *ip,
                                         const char *name)
{
    const struct log_dir *found = NULL;
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        const struct log_dir *dir = n->log_dirs[d];
        if (dir && holds(dir, name) && (found == NULL || is_named(n, ip, dir))) {
            found = dir;
        }
    }
    return found;
}

/* No directory that could be opened holds the partition, but one has its future log, and the
 * metadata has its directory already: what the other one had is lost, or comes too late. */
static const struct log_dir *promote_found(struct partition *p, const struct image_partition *ip,
                                           const char *name)
{
    const struct node *n = p->pm->ns->node;
    struct io *io = p->pm->ns->shard->io;
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        const struct log_dir *dir = n->log_dirs[d];
        const struct log_dir_entry *e = dir && is_named(n, ip, dir) ? future_in(dir, name) : NULL;
        char from[PATH_LEN];
        char to[PATH_LEN];
        struct uuid id = {{0}};
        struct errmsg em = {{0}};
        if (e == NULL) {
            continue;
        }
        snprintf(from, sizeof from, "%s/%s", dir->path, e->name);
        snprintf(to, sizeof to, "%s/%s", dir->path, name);
        if (partition_metadata_read(io, from, &id, &em) || !uuid_eq(id, p->topic->id) ||
            io_rename(io, from, to) || io_fsync_dir(io, dir->path)) {
            return NULL;
        }
        log_warn(n->log, "partition",
                 "the copy that a move has made is used, the log itself is not there partition=%s "
                 "dir=%s",
                 name, dir->path);
        return dir;
    }
    return NULL;
}

/* Where a new partition goes: where an administrator wanted it, else where the metadata says, else
 * the online directory with the fewest partitions of this shard. NULL: every directory is offline.
 */
static const struct log_dir *dir_for_new(struct partition *p, const struct image_partition *ip)
{
    const struct partition_manager *pm = p->pm;
    const struct node *n = pm->ns->node;
    const struct log_dir *best = NULL;
    int wanted = dir_wanted_take(&p->pm->dirs, bytes_str(p->topic->name), p->index);
    if (wanted >= 0 && !pm->store.dir_offline[wanted]) {
        return n->log_dirs[wanted];
    }
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        const struct log_dir *dir = n->log_dirs[d];
        if (dir == NULL || pm->store.dir_offline[d]) {
            continue;
        }
        if (is_named(n, ip, dir)) {
            return dir;
        }
        if (best == NULL || pm->per_dir[d] < pm->per_dir[best->index]) {
            best = dir;
        }
    }
    return best;
}

static void open_args(const struct log_dir *dir, const char *name, const struct log_config *lc,
                      struct plog_open_args *a)
{
    *a = (struct plog_open_args){
        .dir_index = dir->index,
        .dir_path = dir->path,
        .name = name,
        .config = lc,
        .clean = dir->clean,
        .kept = dir->kept,
        .recovery_point = offset_table_get(&dir->recovery_points, name, 0),
        .log_start = offset_table_get(&dir->log_starts, name, 0),
        .high_watermark = offset_table_get(&dir->high_watermarks, name, 0),
    };
}

/* Opens what a directory holds. */
static int open_log(struct partition *p, const struct plog_open_args *a, struct errmsg *em)
{
    int err = plog_open(&p->pm->store, a, &p->log, em);
    if (err) {
        return err;
    }
    struct uuid id = plog_topic_id(p->log);
    if (uuid_is_zero(id) || uuid_eq(id, p->topic->id)) {
        return 0;
    }
    char found[UUID_TEXT];
    char wanted[UUID_TEXT];
    log_warn(p->pm->ns->node->log, "partition",
             "the directory belongs to an earlier topic of this name and is set aside partition=%s "
             "topic_id=%s wanted=%s",
             a->name, uuid_text(id, found), uuid_text(p->topic->id, wanted));
    struct plog *stray = p->log;
    p->log = NULL;
    err = plog_make_stray(stray);
    return err ? errmsg_set(em, err, "%s cannot be renamed: %s", a->name, err_text(err))
               : ERR_NOTFOUND;
}

/* The metadata says that the replica lies in a directory which is none of those that work, and one
 * of ours does not: it may be there. Kafka's rule. */
static bool may_lie_offline(const struct partition *p, const struct image_partition *ip)
{
    const struct node *n = p->pm->ns->node;
    bool all = true;
    bool named = false;
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        bool works = n->log_dirs[d] != NULL && !p->pm->store.dir_offline[d];
        all = all && works;
        named = named || (works && is_named(n, ip, n->log_dirs[d]));
    }
    for (uint32_t i = 0; !all && !named && i < ip->replicas_n && i < ip->directories_n; i++) {
        if (ip->replicas[i] == n->id) {
            return !uuid_eq(ip->directories[i], uuid_reserved(1)); /* UNASSIGNED */
        }
    }
    return false;
}

static int create_log(struct partition *p, const struct image_partition *ip, const char *name,
                      struct errmsg *em)
{
    if (may_lie_offline(p, ip)) {
        return errmsg_set(em, ERR_OFFLINE, "it may lie in a log directory that is offline");
    }
    const struct log_dir *dir = dir_for_new(p, ip);
    if (dir == NULL) {
        return errmsg_set(em, ERR_OFFLINE, "every log directory is offline");
    }
    struct plog_open_args a = {
        .dir_index = dir->index,
        .dir_path = dir->path,
        .name = name,
        .config = &p->topic->config.log,
        .clean = true,
    };
    int err = plog_create(&p->pm->store, &a, p->topic->id, &p->log, em);
    if (err == ERR_EXISTS) {
        struct plog_open_args held;
        open_args(dir, name, &p->topic->config.log, &held);
        err = open_log(p, &held, em);
        if (err == ERR_NOTFOUND) {
            err = plog_create(&p->pm->store, &a, p->topic->id, &p->log, em);
        }
    }
    return err;
}

/* The checkpoints of its directory may have numbers of an earlier log of this name still: of one
 * that was removed just now, or just before a crash. */
static void look_at_checkpoints(struct partition *p, const char *name)
{
    const struct partition_manager *pm = p->pm;
    const struct log_dir *dir = pm->ns->node->log_dirs[plog_dir_index(p->log)];
    struct plog_open_args a = {0};
    if (!pm->started) {
        open_args(dir, name, &p->topic->config.log, &a);
    }
    if (a.recovery_point > 0 || a.log_start > 0 || a.high_watermark > 0) {
        fetchers_was_cut(pm->ns->fetchers, p);
    } else {
        fetchers_created(pm->ns->fetchers, p);
    }
}

/* The controller learns where the log lies if the metadata says otherwise; not while a move is
 * about to bring it to where the metadata says. */
static void report_dir(const struct partition *p, const struct image_partition *ip)
{
    struct node_shard *ns = p->pm->ns;
    unsigned dir = plog_dir_index(p->log);
    unsigned next = p->move ? plog_dir_index(dir_move_log(p)) : dir;
    if (ip->directories_n > 0 && !is_named(ns->node, ip, ns->node->log_dirs[dir]) &&
        !is_named(ns->node, ip, ns->node->log_dirs[next])) {
        dir_assign_report(ns, p->topic->id, p->index, dir);
    }
}

/* ---- what else a start finds of the partition ---- */

static void remove_entry(struct partition *p, const struct log_dir *dir, const char *name)
{
    char path[PATH_LEN];
    snprintf(path, sizeof path, "%s/%s", dir->path, name);
    log_info(p->pm->ns->node->log, "partition", "what a move has left is removed path=%s", path);
    log_store_delete_later(&p->pm->store, dir->index, path, true, 0);
}

/* A second log of the partition, which nobody reads any more. */
static int open_second(struct partition *p, const struct log_dir *dir, const char *name,
                       struct plog **out)
{
    struct plog_open_args a;
    struct errmsg em = {{0}};
    open_args(dir, name, &p->topic->config.log, &a);
    a.clean = true;
    return plog_open(&p->pm->store, &a, out, &em);
}

/* Nobody can tell which of two is current: as after a disk was copied, or after the power failed
 * when the partition had been taken from this broker, given back, and no removal was on the disk
 * yet. The second is kept under another name, or it would be the partition's some day. */
static void set_aside(struct partition *p, const struct log_dir *dir, const char *name)
{
    const struct node *n = p->pm->ns->node;
    struct plog *log;
    int err = open_second(p, dir, name, &log);
    err = err ? err : plog_make_stray(log);
    log_error(n->log, "partition",
              "two log directories hold the partition and the metadata names neither, the second "
              "is set aside partition=%s dir=%s other=%s result=\"%s\"",
              name, n->log_dirs[plog_dir_index(p->log)]->path, dir->path,
              err ? err_text(err) : "renamed to -stray");
}

/* The log that a move has replaced, which was not removed any more. One of another topic is not
 * ours to remove. */
static void remove_replaced(struct partition *p, const struct log_dir *dir, const char *name)
{
    struct plog *log;
    int err = open_second(p, dir, name, &log);
    if (err == 0) {
        err = uuid_eq(plog_topic_id(log), p->topic->id) ? plog_delete(log) : plog_make_stray(log);
    }
    log_write(p->pm->ns->node->log, err ? LOG_WARN : LOG_INFO, "partition",
              "a log that a move has replaced is removed dir=%s partition=%s result=\"%s\"",
              dir->path, name, err ? err_text(err) : "ok");
}

static void resume_move(struct partition *p, const struct log_dir *dir, const char *name,
                        const char *future)
{
    struct plog_open_args a;
    struct errmsg em = {{0}};
    struct plog *log;
    open_args(dir, name, &p->topic->config.log, &a);
    a.name = future;
    if (plog_open(&p->pm->store, &a, &log, &em)) {
        log_error(p->pm->ns->node->log, "partition",
                  "a move cannot go on partition=%s reason=\"%s\"", name, em.text);
    } else if (uuid_eq(plog_topic_id(log), p->topic->id)) {
        dir_move_resume(p, log);
    } else {
        plog_delete(log);
    }
}

static void look_beside(const struct node *n, const char *name, struct partition_beside *out)
{
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        const struct log_dir *dir = n->log_dirs[d];
        const struct log_dir_entry *e = dir ? future_in(dir, name) : NULL;
        out->held |= dir && holds(dir, name) ? UINT64_C(1) << d : 0;
        out->futures[d] = e ? mem_strdup(e->name) : NULL;
    }
}

static void forget_beside(struct partition_beside *b)
{
    for (unsigned d = 0; d < LOG_STORE_DIRS_MAX; d++) {
        mem_free(b->futures[d]);
    }
    *b = (struct partition_beside){0};
}

void partition_forget_unopened(struct partition *p)
{
    if (p->unopened) {
        forget_beside(&p->unopened->beside);
        mem_free(p->unopened);
        p->unopened = NULL;
    }
}

/* Only the log that the metadata names has what the others have. */
static void look_for_moves(struct partition *p, const struct image_partition *ip, const char *name,
                           const struct partition_beside *b)
{
    const struct node *n = p->pm->ns->node;
    bool named = is_named(n, ip, n->log_dirs[plog_dir_index(p->log)]);
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        const struct log_dir *dir = n->log_dirs[d];
        bool its = d == plog_dir_index(p->log);
        bool works = dir && !p->pm->store.dir_offline[d];
        bool another = works && !its && (b->held & (UINT64_C(1) << d));
        if (another && named) {
            remove_replaced(p, dir, name);
        } else if (another) {
            set_aside(p, dir, name);
        }
        if (works && b->futures[d] && (its || p->move)) {
            remove_entry(p, dir, b->futures[d]);
        } else if (works && b->futures[d]) {
            resume_move(p, dir, name, b->futures[d]);
        }
    }
}

/* The partition stays without log, for now or until restart. *b is taken over. */
static void not_opened(struct partition *p, int err, bool held, const struct plog_open_args *a,
                       struct partition_beside *b, const char *name, const char *why)
{
    struct partition_manager *pm = p->pm;
    bool again = err == ERR_NOSPACE;
    if (p->unopened == NULL || !again) {
        log_error(pm->ns->node->log, "partition",
                  "the partition is offline%s partition=%s reason=\"%s\"",
                  again ? " until the disk has space" : "", name, why);
    }
    if (p->unopened == NULL) {
        p->unopened = MEM_NEW(struct partition_unopened);
        p->unopened->held = held;
        p->unopened->args = *a;
        p->unopened->args.name = NULL; /* set anew by each try, as are the settings */
        p->unopened->args.config = NULL;
        p->unopened->beside = *b;
        *b = (struct partition_beside){0};
        if (held && !a->clean && !again) { /* room is wanted for what goes with it, not for it */
            run_before_not_opened(pm->ns, a->dir_index);
        }
    }
    p->unopened->again = again;
    p->log = NULL;
    p->offline = true;
    if (again && !timer_is_set(&pm->reopen)) {
        timer_set(pm->ns->shard, &pm->reopen, shard_now_ms(pm->ns->shard) + REOPEN_MS);
    }
}

void partition_open(struct partition *p, const struct image_partition *ip)
{
    struct partition_manager *pm = p->pm;
    struct errmsg em = {{0}};
    struct plog_open_args a = {0};
    struct partition_beside beside = {0};
    char name[NAME_MAX_LEN];
    bool held = false;
    snprintf(name, sizeof name, "%s-%" PRId32, p->topic->name, p->index);
    if (p->unopened) {
        held = p->unopened->held;
        a = p->unopened->args;
        a.name = name;
        a.config = &p->topic->config.log;
    } else if (!pm->started) {
        look_beside(pm->ns->node, name, &beside);
        const struct log_dir *dir = dir_holding(pm->ns->node, ip, name);
        dir = dir ? dir : promote_found(p, ip, name);
        held = dir != NULL;
        if (held) {
            open_args(dir, name, &p->topic->config.log, &a);
        }
    }
    int err = held ? open_log(p, &a, &em) : ERR_NOTFOUND;
    bool created = err == ERR_NOTFOUND;
    if (created) {
        err = create_log(p, ip, name, &em);
    }
    if (err) {
        not_opened(p, err, held, &a, &beside, name, em.text[0] ? em.text : err_text(err));
        return;
    }
    p->offline = pm->store.dir_offline[plog_dir_index(p->log)];
    if (plog_recovery_point(p->log) < a.recovery_point) {
        fetchers_was_cut(pm->ns->fetchers, p);
    } else if (created) {
        look_at_checkpoints(p, name);
    }
    pm->per_dir[plog_dir_index(p->log)]++;
    partition_retain_soon(p);
    look_for_moves(p, ip, name, p->unopened ? &p->unopened->beside : &beside);
    forget_beside(&beside);
    partition_forget_unopened(p);
    report_dir(p, ip);
}

void partition_reopen_cb(struct timer *t)
{
    struct partition_manager *pm = t->user;
    const struct image *img = pm->ns->image;
    list_for_each (at, &pm->all) {
        struct partition *p = LIST_ENTRY(at, struct partition, all);
        if (p->unopened == NULL || !p->unopened->again) {
            continue;
        }
        const struct image_topic *topic = image_topic_by_id(img, p->topic->id);
        const struct image_partition *ip = topic ? image_partition(topic, p->index) : NULL;
        ASSERT(ip); /* else the delta had removed it */
        partition_open(p, ip);
        if (p->log) {
            log_info(pm->ns->node->log, "partition", "the disk has space again partition=%s",
                     plog_name(p->log));
            p->is_leader = false; /* the log has yet to hear its epoch */
            partition_set_state(p, ip, img);
            partition_look_at_leader(p);
            group_host_look(p);
        }
    }
}
