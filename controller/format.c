#include "controller/format.h"

#include <stdio.h>

#include "base/assert.h"
#include "controller/bootstrap.h"
#include "proto_features.h"
#include "storage/log_dir.h"

enum { FILE_PATH_MAX = 4096 };

static const char FIRST_SNAPSHOT[] = "00000000000000000000-0000000000.checkpoint";

/* ---- meta.properties ---- */

int format_read_meta(struct io *io, const char *dir, struct format_meta *out, struct errmsg *em)
{
    struct meta_properties m;
    int err = meta_properties_read(io, dir, &m, em);
    if (err == ERR_UNSUPPORTED) {
        return ERR_CORRUPT;
    }
    if (err) {
        return err;
    }
    if (m.version == 0) {
        return errmsg_set(em, ERR_CORRUPT,
                          "%s/meta.properties is of version 0, from a cluster with ZooKeeper: "
                          "migrate it with Kafka first",
                          dir);
    }
    memcpy(out->cluster_id, m.cluster_id, sizeof out->cluster_id);
    out->node_id = m.node_id;
    out->directory_id = m.directory_id;
    return 0;
}

int format_write_meta(struct io *io, const char *dir, const struct format_meta *m,
                      struct errmsg *em)
{
    struct meta_properties p = {
        .version = 1, .node_id = m->node_id, .directory_id = m->directory_id};
    memcpy(p.cluster_id, m->cluster_id, sizeof p.cluster_id);
    int err = meta_properties_write(io, dir, &p);
    return err ? errmsg_set(em, err, "%s/meta.properties cannot be written: %s", dir, err_text(err))
               : 0;
}

static int check_against(const char *dir, const struct format_meta *m, const char *first_dir,
                         const struct format_meta *first, int32_t node_id, struct errmsg *em)
{
    if (m->node_id != node_id) {
        return errmsg_set(em, ERR_CONFLICT, "%s belongs to node %d, but node.id is %d", dir,
                          m->node_id, node_id);
    }
    if (first && strcmp(m->cluster_id, first->cluster_id) != 0) {
        return errmsg_set(em, ERR_CONFLICT, "%s is of cluster %s, but %s is of cluster %s", dir,
                          m->cluster_id, first_dir, first->cluster_id);
    }
    return 0;
}

int format_load(struct io *io, const char *const *dirs, size_t n, int32_t node_id,
                struct format_meta *metas, size_t *missing, struct errmsg *em)
{
    const struct format_meta *first = NULL;
    const char *first_dir = "";
    size_t absent = 0;
    for (size_t i = 0; i < n; i++) {
        metas[i] = (struct format_meta){.node_id = -1};
        int err = format_read_meta(io, dirs[i], &metas[i], em);
        if (err == ERR_NOTFOUND && missing) {
            absent++;
            continue;
        }
        err = err ? err : check_against(dirs[i], &metas[i], first_dir, first, node_id, em);
        for (size_t k = 0; err == 0 && k < i; k++) {
            if (!uuid_is_zero(metas[i].directory_id) &&
                uuid_eq(metas[i].directory_id, metas[k].directory_id)) {
                err = errmsg_set(em, ERR_CONFLICT,
                                 "%s and %s have the same directory.id: one is a copy of the other",
                                 dirs[k], dirs[i]);
            }
        }
        if (err) {
            return err;
        }
        if (first == NULL) {
            first = &metas[i];
            first_dir = dirs[i];
        }
    }
    if (missing) {
        *missing = absent;
    }
    return first ? 0
                 : errmsg_set(em, ERR_NOTFOUND,
                              "%s has no meta.properties: format it with `millrace storage format`",
                              n ? dirs[0] : "log.dirs");
}

/* ---- formatting ---- */

struct uuid format_random_uuid(struct io *io)
{
    uint8_t random[16];
    struct uuid id;
    do {
        io_random(io, random, sizeof random);
    } while (!uuid_from_random(random, &id));
    return id;
}

/* A new folder's name must survive a power loss as well as what will be in it. */
static int sync_parent(struct io *io, const char *path)
{
    char parent[FILE_PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return io_fsync_dir(io, parent[0] ? parent : "/");
}

/* The folder and those above it. */
static int make_dirs(struct io *io, const char *path, struct errmsg *em)
{
    char part[FILE_PATH_MAX];
    size_t n = strlen(path);
    int err = n < sizeof part ? 0 : ERR_TOOBIG;
    for (size_t i = 1; err == 0 && i <= n; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            memcpy(part, path, i);
            part[i] = '\0';
            err = io_mkdir(io, part);
            err = err == ERR_EXISTS ? 0 : err ? err : sync_parent(io, part);
        }
    }
    struct io_stat st;
    err = err ? err : io_stat(io, path, &st);
    if (err == 0 && !st.is_dir) {
        err = ERR_EXISTS;
    }
    return err ? errmsg_set(em, err, "the folder %s cannot be made: %s", path, err_text(err)) : 0;
}

/* The metadata log's first snapshot, which names this node as the only voter. */
static int write_voter(struct io *io, const char *dir, int32_t node_id, struct uuid directory_id,
                       const struct format_voter *voter, struct errmsg *em)
{
    char path[FILE_PATH_MAX];
    struct buf b = {0};
    snprintf(path, sizeof path, "%s/" LOG_DIR_METADATA_LOG, dir);
    int err = io_mkdir(io, path);
    err = err == ERR_EXISTS ? 0 : err ? err : io_fsync_dir(io, dir);
    if (err == 0) {
        bootstrap_encode_voter(node_id, directory_id, voter, io_wall_ms(io), &b);
        snprintf(path, sizeof path, "%s/" LOG_DIR_METADATA_LOG "/%s", dir, FIRST_SNAPSHOT);
        err = io_replace_file(io, path, b.data, b.len);
    }
    buf_free(&b);
    return err ? errmsg_set(em, err, "%s cannot be written: %s", path, err_text(err)) : 0;
}

static int write_bootstrap(struct io *io, const char *dir, const struct bootstrap_features *f,
                           struct errmsg *em)
{
    char path[FILE_PATH_MAX];
    struct buf b = {0};
    bootstrap_encode(f, io_wall_ms(io), &b);
    snprintf(path, sizeof path, "%s/bootstrap.checkpoint", dir);
    int err = io_replace_file(io, path, b.data, b.len);
    buf_free(&b);
    return err ? errmsg_set(em, err, "%s cannot be written: %s", path, err_text(err)) : 0;
}

struct format_run {
    struct io *io;
    const struct format_options *opt;
    struct bootstrap_features features;
    void (*say)(void *ctx, const char *line);
    void *ctx;
};

/* What the cluster begins with, as Kafka's tool shows it: scripts read the levels out of it. */
static void say_features(const struct format_run *r)
{
    struct buf line = {0};
    if (r->say == NULL) {
        return;
    }
    buf_put_str(&line, "Bootstrap metadata: BootstrapMetadata(records=[");
    for (size_t i = 0; i < r->features.n; i++) {
        buf_printf(&line,
                   "%sApiMessageAndVersion(FeatureLevelRecord(name='%s', featureLevel=%d) at "
                   "version 0)",
                   i ? ", " : "", r->features.v[i].name, r->features.v[i].level);
    }
    buf_printf(&line, "], metadataVersionLevel=%d, source=format command)", r->features.v[0].level);
    r->say(r->ctx, buf_cstr(&line));
    buf_free(&line);
}

static void say_formatting(const struct format_run *r, const char *dir, bool metadata)
{
    char line[FILE_PATH_MAX + 128];
    const struct proto_metadata_version *mv = proto_metadata_version(r->features.v[0].level);
    if (r->say) {
        snprintf(line, sizeof line, "Formatting %s directory %s with metadata.version %s.",
                 !metadata       ? "data"
                 : r->opt->voter ? "dynamic metadata voter"
                                 : "metadata",
                 dir, mv->name);
        r->say(r->ctx, line);
    }
}

/* What a formatting that was cut short may leave, and what any disk may hold. */
static bool is_leftover(const char *name)
{
    static const char *const names[] = {"bootstrap.checkpoint", "bootstrap.checkpoint.tmp",
                                        "meta.properties.tmp",  ".lock",
                                        "lost+found",           ".kafka_cleanshutdown",
                                        ".millrace_run",        ".millrace_run.tmp"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

struct looked {
    char other[256]; /* the first name that is no leftover; "": none */
    bool first_snapshot;
};

static void look(void *ctx, const struct io_dirent *e)
{
    struct looked *l = ctx;
    if (strcmp(e->name, LOG_DIR_METADATA_LOG) == 0) {
        l->first_snapshot = true;
    } else if (l->other[0] == '\0' && !is_leftover(e->name)) {
        snprintf(l->other, sizeof l->other, "%s", e->name);
    }
}

/* A metadata log in which nothing is but the snapshot that names the voters. */
static void look_in_log(void *ctx, const struct io_dirent *e)
{
    struct looked *l = ctx;
    if (strncmp(e->name, FIRST_SNAPSHOT, strlen(FIRST_SNAPSHOT)) != 0) {
        snprintf(l->other, sizeof l->other, "%s", LOG_DIR_METADATA_LOG);
    }
}

int format_check_empty(struct io *io, const char *dir, struct errmsg *em)
{
    char log[FILE_PATH_MAX];
    struct looked l = {.first_snapshot = false};
    int err = io_list_dir(io, dir, look, &l);
    if (err == 0 && l.first_snapshot) {
        snprintf(log, sizeof log, "%s/" LOG_DIR_METADATA_LOG, dir);
        err = io_list_dir(io, log, look_in_log, &l);
    }
    if (err && err != ERR_NOTFOUND) {
        return errmsg_set(em, err, "%s cannot be listed: %s", dir, err_text(err));
    }
    if (l.other[0]) {
        return errmsg_set(
            em, ERR_CONFLICT,
            "%s has no meta.properties but holds %s: it is somebody else's folder, or has lost "
            "that file; put the file back, empty the folder or name another one",
            dir, l.other);
    }
    return err;
}

static int format_one(const struct format_run *r, const char *dir, bool bootstrap,
                      struct errmsg *em)
{
    struct format_meta m = {.node_id = r->opt->node_id};
    say_formatting(r, dir, bootstrap);
    int err = format_check_empty(r->io, dir, em);
    err = err == ERR_NOTFOUND ? make_dirs(r->io, dir, em) : err;
    const struct format_voter *voter = bootstrap ? r->opt->voter : NULL;
    m.directory_id = voter && !uuid_is_zero(voter->directory_id) ? voter->directory_id
                                                                 : format_random_uuid(r->io);
    if (err == 0 && bootstrap) {
        err = write_bootstrap(r->io, dir, &r->features, em);
    }
    if (err == 0 && voter) {
        err = write_voter(r->io, dir, m.node_id, m.directory_id, voter, em);
    }
    if (err) {
        return err;
    }
    snprintf(m.cluster_id, sizeof m.cluster_id, "%s", r->opt->cluster_id);
    return format_write_meta(r->io, dir, &m, em);
}

static int check_options(const struct format_options *opt, struct errmsg *em)
{
    size_t n = strlen(opt->cluster_id);
    if (n == 0 || n >= sizeof(((struct format_meta *)0)->cluster_id)) {
        return errmsg_set(em, ERR_INVALID,
                          "the cluster id has %zu characters; allowed: 1 to %zu, as `millrace "
                          "storage random-uuid` makes them",
                          n, sizeof(((struct format_meta *)0)->cluster_id) - 1);
    }
    if (opt->node_id < 0) {
        return errmsg_set(em, ERR_INVALID, "node.id=%d is not allowed; allowed: 0 and above",
                          opt->node_id);
    }
    return 0;
}

/* An already formatted directory is left alone, but must be of this cluster and node. */
static int check_formatted(const char *dir, const struct format_meta *m,
                           const struct format_options *opt, struct errmsg *em)
{
    if (!opt->ignore_formatted) {
        return errmsg_set(
            em, ERR_EXISTS,
            "Log directory %s is already formatted. Use --ignore-formatted to leave it "
            "alone and format the others.",
            dir);
    }
    struct format_meta want = {.node_id = opt->node_id};
    snprintf(want.cluster_id, sizeof want.cluster_id, "%s", opt->cluster_id);
    return check_against(dir, m, "the command line", &want, opt->node_id, em);
}

int format_dirs(struct io *io, const char *const *dirs, size_t n, const char *metadata_dir,
                const struct format_options *opt, void (*say_cb)(void *ctx, const char *line),
                void *ctx, struct errmsg *em)
{
    struct format_run r = {.io = io, .opt = opt, .say = say_cb, .ctx = ctx};
    int err = check_options(opt, em);
    size_t done = 0;
    err = err ? err : bootstrap_choose(opt, &r.features, em);
    /* first all checks, so that nothing is half done for a mistake */
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; err == 0 && i < n; i++) {
            struct format_meta m;
            bool first = metadata_dir ? strcmp(dirs[i], metadata_dir) == 0 : i == 0;
            int found = format_read_meta(io, dirs[i], &m, em);
            if (found == 0) {
                err = check_formatted(dirs[i], &m, opt, em);
            } else if (found != ERR_NOTFOUND) {
                err = found;
            } else if (pass == 0) {
                err = format_check_empty(io, dirs[i], em);
                err = err == ERR_NOTFOUND ? 0 : err;
            } else {
                if (done++ == 0) {
                    say_features(&r);
                }
                err = format_one(&r, dirs[i], first, em);
            }
        }
    }
    if (err == 0 && done == 0 && say_cb) {
        say_cb(ctx, "All of the log directories are already formatted.");
    }
    return err;
}

int format_auto(struct io *io, const char *dir, int32_t node_id, struct format_meta *out,
                bool *formatted, struct errmsg *em)
{
    char cluster_id[UUID_TEXT];
    *formatted = false;
    int err = format_read_meta(io, dir, out, em);
    if (err == 0) {
        return check_against(dir, out, NULL, NULL, node_id, em);
    }
    if (err != ERR_NOTFOUND) {
        return err;
    }
    uuid_text(format_random_uuid(io), cluster_id);
    struct format_options opt = {.cluster_id = cluster_id, .node_id = node_id};
    err = format_dirs(io, &dir, 1, NULL, &opt, NULL, NULL, em);
    err = err ? err : format_read_meta(io, dir, out, em);
    *formatted = err == 0;
    return err;
}

/* ---- releases ---- */

int16_t format_metadata_version(const char *release)
{
    size_t n = strcspn(release, ".");
    n += release[n] ? 1 + strcspn(release + n + 1, ".") : 0; /* of 4.3.1 the 4.3 counts */
    int16_t level = 0;
    for (size_t i = 0; i < proto_metadata_versions_n; i++) {
        const struct proto_metadata_version *v = &proto_metadata_versions[i];
        if (strncmp(v->name, release, n) == 0 && v->name[n] == 0) {
            return v->level;
        }
        /* "4.3" is the newest of 4.3-IV0, 4.3-IV1 ... */
        if (v->production && strncmp(v->name, release, n) == 0 && v->name[n] == '-') {
            level = v->level;
        }
    }
    return level;
}
