/* The log directories of a node at its start: whose they are and whether they belong together, then
 * opened, and new, empty disks beside them formatted. What can be wrong is looked for first and
 * nothing is written before that, so that a refused start leaves all as it was, also the marks of a
 * clean stop.
 *
 * Refused with a sentence: a directory of another node or cluster, a copy of another one, one of
 * another format (controller/format.h), one that holds something and has no meta.properties, one
 * that is locked. And what would begin the cluster's metadata anew beside data that is there, which
 * would set all of it aside: metadata.log.dir unformatted though others are not, a metadata log in
 * another directory than metadata.log.dir, partitions and no metadata log.
 *
 * A controller without controller.quorum.voters is the only voter if it was formatted so
 * (--standalone), which made its metadata log; else it is no voter.
 *
 * One that is ill (its disk, or a file in its place, or nobody may read it) is left out as long as
 * another works, but for the metadata log's. Main. */
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "broker/node_priv.h"
#include "controller/format.h"
#include "storage/log_dir.h"
#include "storage/log_store.h"

enum { DIRS_MAX = LOG_STORE_DIRS_MAX + 1 }; /* with metadata.log.dir if it is none of them */

struct dir_survey {
    const char *path;
    bool in_log_dirs;
    bool metadata; /* the metadata log's */
    bool has_metadata_log;
    char partition[256]; /* the name of one that is in it; "": none */
};

struct survey {
    struct node *n;
    struct io *io;
    struct dir_survey dirs[DIRS_MAX];
    size_t dirs_n;
    const struct dir_survey *first; /* that has meta.properties */
};

static bool is_ill(int err)
{
    return err == ERR_IO || err == ERR_PERM || err == ERR_EXISTS || err == ERR_NOTFOUND;
}

static bool is_metadata_dir(const struct config *c, const char *path)
{
    return c->is_controller && strcmp(path, c->metadata_log_dir) == 0;
}

/* ---- looking ---- */

static void look(void *ctx, const struct io_dirent *e)
{
    struct dir_survey *s = ctx;
    struct log_dir_entry entry;
    struct arena a = {0};
    if (e->is_dir && log_dir_parse_name(e->name, &a, &entry)) {
        s->has_metadata_log = s->has_metadata_log || entry.kind == LOG_DIR_METADATA;
        if (entry.kind == LOG_DIR_PLAIN && s->partition[0] == '\0') {
            snprintf(s->partition, sizeof s->partition, "%s", e->name);
        }
    }
    arena_free(&a);
}

static void add_dir(struct survey *s, const char *path, bool in_log_dirs)
{
    struct dir_survey *d = &s->dirs[s->dirs_n++];
    *d = (struct dir_survey){
        .path = path,
        .in_log_dirs = in_log_dirs,
        .metadata = is_metadata_dir(s->n->config, path),
    };
    (void)io_list_dir(s->io, path, look, d); /* an absent one is empty; opening tells the rest */
}

/* All directories but those that cannot be read, which are left out or told when they are opened.
 */
static void look_at_all(struct survey *s)
{
    const struct config *c = s->n->config;
    bool metadata = false;
    for (size_t i = 0; i < c->log_dirs_n; i++) {
        struct format_meta m;
        struct errmsg ignored = {{0}};
        bool its = is_metadata_dir(c, c->log_dirs[i]);
        metadata = metadata || its;
        int err = format_read_meta(s->io, c->log_dirs[i], &m, &ignored);
        if (its || c->log_dirs_n == 1 || err == ERR_NOTFOUND || !is_ill(err)) {
            add_dir(s, c->log_dirs[i], true);
        }
    }
    if (c->is_controller && !metadata) {
        add_dir(s, c->metadata_log_dir, false);
    }
}

/* ---- judging ---- */

static bool check_metadata_dir(struct survey *s, const struct format_meta *m,
                               const struct dir_survey *d)
{
    if (m->node_id >= 0 || !d->metadata) {
        return true;
    }
    node_fail(s->n,
              "%s has no meta.properties, but %s has, and the metadata log belongs there "
              "(metadata.log.dir): if formatting was cut short, run `millrace storage format "
              "--ignore-formatted` again; if a disk was lost, bring it back",
              d->path, s->first->path);
    return false;
}

/* Formatted to be no voter, it would wait for ever for itself. */
static bool check_voter(struct survey *s, bool has_log)
{
    const struct config *c = s->n->config;
    s->n->voter = c->is_controller && (has_log || !config_learns_voters(c));
    if (!c->is_controller || s->n->voter || !config_begins_with_itself(c)) {
        return true;
    }
    node_fail(
        s->n,
        "%s has no " LOG_DIR_METADATA_LOG ", and controller.quorum.bootstrap.servers=%s is "
        "this controller itself: if it was the only voter the metadata log was lost, bring it "
        "back; if it is to be one, format it with --standalone; else name other controllers",
        c->metadata_log_dir, c->v.controller_quorum_bootstrap_servers);
    return false;
}

static bool check_metadata_log(struct survey *s)
{
    const struct config *c = s->n->config;
    const struct dir_survey *with = NULL;
    bool found = false;
    for (size_t i = 0; i < s->dirs_n; i++) {
        const struct dir_survey *d = &s->dirs[i];
        if (d->has_metadata_log && strcmp(d->path, c->metadata_log_dir) != 0) {
            node_fail(s->n,
                      "%s holds " LOG_DIR_METADATA_LOG ", but the metadata log's directory is %s: "
                      "name the right one in metadata.log.dir",
                      d->path, c->metadata_log_dir);
            return false;
        }
        found = found || d->has_metadata_log;
        with = with == NULL && d->partition[0] ? d : with;
    }
    if (with && !found && c->is_controller && c->voters_n == 1 && !config_learns_voters(c)) {
        node_fail(s->n,
                  "%s has no " LOG_DIR_METADATA_LOG ", but %s holds %s: the metadata log was lost, "
                  "bring it back; a node that began a new one would set all partitions aside",
                  c->metadata_log_dir, with->path, with->partition);
        return false;
    }
    return check_voter(s, found);
}

static bool check_all(struct survey *s)
{
    struct node *n = s->n;
    struct errmsg em = {{0}};
    const char *paths[DIRS_MAX];
    struct format_meta metas[DIRS_MAX];
    size_t missing;
    for (size_t i = 0; i < s->dirs_n; i++) {
        paths[i] = s->dirs[i].path;
    }
    if (format_load(s->io, paths, s->dirs_n, n->id, metas, &missing, &em)) {
        node_fail(n, "%s", em.text);
        return false;
    }
    for (size_t i = 0; i < s->dirs_n && s->first == NULL; i++) {
        s->first = metas[i].node_id >= 0 ? &s->dirs[i] : NULL;
        static_assert(sizeof n->cluster_id == sizeof metas[i].cluster_id, "copied as a whole");
        memcpy(n->cluster_id, metas[i].cluster_id, sizeof n->cluster_id);
    }
    for (size_t i = 0; i < s->dirs_n; i++) {
        bool formatted = metas[i].node_id >= 0;
        int err = formatted ? 0 : format_check_empty(s->io, paths[i], &em);
        if (err && err != ERR_NOTFOUND) {
            node_fail(n, "%s", em.text);
            return false;
        }
        if (!check_metadata_dir(s, &metas[i], &s->dirs[i])) {
            return false;
        }
    }
    return check_metadata_log(s);
}

/* ---- opening ---- */

static bool open_dir(struct node *n, unsigned d)
{
    struct errmsg em = {{0}};
    const char *path = n->config->log_dirs[d];
    int err = log_dir_open(node_main(n)->shard->io, n->log, d, path, true, &n->log_dirs[d], &em);
    if (err) {
        n->log_dirs[d] = NULL;
    }
    if (is_ill(err) && n->config->log_dirs_n > 1 && !is_metadata_dir(n->config, path)) {
        n->failed_dirs |= UINT64_C(1) << d;
        log_error(n->log, "node", "log directory is offline until restart dir=%s reason=\"%s\"",
                  path, em.text);
        return true;
    }
    if (err) {
        node_fail(n, "%s", em.text);
    }
    return err == 0;
}

/* A new, empty disk beside formatted ones: it gets a directory id of its own. */
static bool adopt_dir(struct node *n, struct log_dir *dir)
{
    struct io *io = node_main(n)->shard->io;
    dir->meta = (struct meta_properties){.version = 1, .node_id = n->id};
    snprintf(dir->meta.cluster_id, sizeof dir->meta.cluster_id, "%s", n->cluster_id);
    dir->meta.directory_id = format_random_uuid(io);
    int err = meta_properties_write(io, dir->path, &dir->meta);
    if (err) {
        node_fail(n, "%s cannot be formatted: %s", dir->path, err_text(err));
        return false;
    }
    dir->has_meta = true;
    log_info(n->log, "node", "a new log directory was formatted dir=%s", dir->path);
    return true;
}

/* Without a configuration file the node formats its own directory. */
static bool format_own(struct node *n)
{
    const struct config *c = n->config;
    struct errmsg em = {{0}};
    struct format_meta meta;
    bool formatted = false;
    if (format_auto(node_main(n)->shard->io, c->log_dirs[0], n->id, &meta, &formatted, &em)) {
        node_fail(n, "%s", em.text);
        return false;
    }
    if (formatted) {
        log_info(n->log, "node", "formatted dir=%s cluster_id=%s", c->log_dirs[0], meta.cluster_id);
    }
    return true;
}

bool node_open_dirs(struct node *n)
{
    const struct config *c = n->config;
    struct survey s = {.n = n, .io = node_main(n)->shard->io};
    if (c->log_dirs_n > LOG_STORE_DIRS_MAX) {
        node_fail(n, "log.dirs names %zu directories; at most %d", c->log_dirs_n,
                  LOG_STORE_DIRS_MAX);
        return false;
    }
    if (c->zero && !format_own(n)) {
        return false;
    }
    look_at_all(&s);
    if (!check_all(&s)) {
        return false;
    }
    n->log_dirs_n = (unsigned)c->log_dirs_n;
    n->log_dirs = mem_zalloc(n->log_dirs_n * sizeof *n->log_dirs);
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        if (!open_dir(n, d)) {
            return false;
        }
    }
    for (unsigned d = 0; d < n->log_dirs_n; d++) {
        struct log_dir *dir = n->log_dirs[d];
        if (dir && !dir->has_meta && !adopt_dir(n, dir)) {
            return false;
        }
    }
    return true;
}
