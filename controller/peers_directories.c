/* voter-directories: which directory each other voter has, as it said when it first spoke to this
 * node. Kafka's checkpoint form: version 0, a count, then `id directory` lines. */
#include <stdio.h>
#include <stdlib.h>

#include "controller/peers_private.h"

static const char FILE_NAME[] = "voter-directories";

enum { FILE_MAX = 4096, PATH_BYTES = 4200 };

static const char *path_of(const struct peers *p, char out[PATH_BYTES])
{
    snprintf(out, PATH_BYTES, "%s/%s", metadata_log_path(p->mlog), FILE_NAME);
    return out;
}

static bool take_line(struct peers *p, const char **at)
{
    char *end;
    struct uuid id;
    long voter = strtol(*at, &end, 10);
    size_t n = strcspn(end, "\n");
    if (end == *at || *end != ' ' || end[n] != '\n' || uuid_parse(end + 1, n - 1, &id) != 0) {
        return false;
    }
    struct peer *peer = peers_find(p, (int32_t)voter);
    if (peer) { /* else no voter any more */
        peer->directory = id;
    }
    *at = end + n + 1;
    return true;
}

int peers_load_directories(struct peers *p, struct errmsg *em)
{
    char path[PATH_BYTES];
    struct buf text = {0};
    int err = io_read_file(p->shard->io, path_of(p, path), FILE_MAX, &text);
    if (err) {
        buf_free(&text);
        return err == ERR_NOTFOUND ? 0
                                   : errmsg_set(em, err, "cannot read %s: %s", path, err_text(err));
    }
    const char *at = buf_cstr(&text);
    int used = 0;
    int count = -1;
    bool ok = sscanf(at, "0\n%d\n%n", &count, &used) == 1 && used > 0 && count >= 0;
    at += used;
    for (int i = 0; ok && i < count; i++) {
        ok = take_line(p, &at);
    }
    if (!ok || *at) {
        err = errmsg_set(em, ERR_CORRUPT,
                         "%s is not `id directory` lines behind the version 0 and their number",
                         path);
    }
    buf_free(&text);
    return err;
}

int peers_learn_directory(struct peers *p, struct peer *peer, struct uuid directory,
                          struct errmsg *em)
{
    char path[PATH_BYTES];
    char id[UUID_TEXT];
    struct buf lines = {0};
    struct buf text = {0};
    int count = 0;
    peer->directory = directory;
    for (size_t i = 0; i < p->n; i++) {
        if (!uuid_is_zero(p->v[i].directory)) {
            buf_printf(&lines, "%d %s\n", (int)p->v[i].id, uuid_text(p->v[i].directory, id));
            count++;
        }
    }
    buf_printf(&text, "0\n%d\n", count);
    buf_put(&text, lines.data, lines.len);
    int err = io_replace_file(p->shard->io, path_of(p, path), text.data, text.len);
    if (err) {
        peer->directory = UUID_ZERO;
        errmsg_set(em, err, "%s cannot be written: %s", path, err_text(err));
    }
    buf_free(&lines);
    buf_free(&text);
    return err;
}
