#include "controller/peers_directories.h"

#include <stdio.h>
#include <stdlib.h>

#include "controller/peers_private.h"

static const char FILE_NAME[] = "voter-directories";

enum { FILE_MAX = 4096, PATH_BYTES = 4200 };

static const char *path_in(const char *dir, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%s", dir, FILE_NAME);
    return out;
}

static bool take_line(const char **at, struct voter_directory *out)
{
    char *end;
    long voter = strtol(*at, &end, 10);
    size_t n = strcspn(end, "\n");
    if (end == *at || *end != ' ' || end[n] != '\n' || voter < 0 || voter > INT32_MAX ||
        uuid_parse(end + 1, n - 1, &out->directory) != 0) {
        return false;
    }
    out->id = (int32_t)voter;
    *at = end + n + 1;
    return true;
}

int voter_directories_read(struct io *io, const char *dir,
                           struct voter_directory out[VOTER_DIRECTORIES_MAX], size_t *n,
                           struct errmsg *em)
{
    char path[PATH_BYTES];
    struct buf text = {0};
    int err = io_read_file(io, path_in(dir, path), FILE_MAX, &text);
    *n = 0;
    if (err) {
        buf_free(&text);
        return err == ERR_NOTFOUND ? 0
                                   : errmsg_set(em, err, "cannot read %s: %s", path, err_text(err));
    }
    const char *at = buf_cstr(&text);
    int used = 0;
    int count = -1;
    bool ok = sscanf(at, "0\n%d\n%n", &count, &used) == 1 && used > 0 && count >= 0 &&
              count <= VOTER_DIRECTORIES_MAX;
    at += used;
    for (int i = 0; ok && i < count; i++) {
        ok = take_line(&at, &out[*n]);
        *n += ok;
    }
    if (!ok || *at) {
        err = errmsg_set(em, ERR_CORRUPT,
                         "%s is not `id directory` lines behind the version 0 and their number",
                         path);
    }
    buf_free(&text);
    return err;
}

int voter_directories_write(struct io *io, const char *dir, const struct voter_directory *v,
                            size_t n, struct errmsg *em)
{
    char path[PATH_BYTES];
    char id[UUID_TEXT];
    struct buf text = {0};
    buf_printf(&text, "0\n%zu\n", n);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&text, "%d %s\n", (int)v[i].id, uuid_text(v[i].directory, id));
    }
    int err = io_replace_file(io, path_in(dir, path), text.data, text.len);
    if (err) {
        errmsg_set(em, err, "%s cannot be written: %s", path, err_text(err));
    }
    buf_free(&text);
    return err;
}

enum peer_trust peers_trust(struct uuid known, struct uuid directory, bool on_trial)
{
    if (uuid_is_zero(directory)) {
        return PEER_NAMELESS;
    }
    if (uuid_eq(known, directory) || on_trial) {
        return PEER_KNOWN;
    }
    return uuid_is_zero(known) ? PEER_NEW : PEER_STRANGE;
}

/* ---- of the running node ---- */

int peers_load_directories(struct peers *p, struct errmsg *em)
{
    struct voter_directory v[VOTER_DIRECTORIES_MAX];
    size_t n;
    int err = voter_directories_read(p->shard->io, metadata_log_path(p->mlog), v, &n, em);
    for (size_t i = 0; i < n && err == 0; i++) {
        struct peer *peer = peers_find(p, v[i].id);
        if (peer) { /* else no voter any more */
            peer->directory = v[i].directory;
        }
    }
    return err;
}

int peers_learn_directory(struct peers *p, struct peer *peer, struct uuid directory,
                          struct errmsg *em)
{
    struct voter_directory v[QUORUM_VOTERS_MAX];
    struct uuid was = peer->directory;
    size_t n = 0;
    peer->directory = directory;
    for (size_t i = 0; i < p->n; i++) {
        if (!uuid_is_zero(p->v[i].directory)) {
            v[n++] = (struct voter_directory){p->v[i].id, p->v[i].directory};
        }
    }
    int err = voter_directories_write(p->shard->io, metadata_log_path(p->mlog), v, n, em);
    if (err) {
        peer->directory = was;
    }
    return err;
}
