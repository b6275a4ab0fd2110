/* quorum-state: term, vote and leader as Kafka keeps them, one line of JSON. data_version 0 goes
 * with kraft.version 0 and names the voters, data_version 1 goes with kraft.version 1.
 *
 * A full disk must not end the voters one by one, with each election: the file is replaced, which
 * needs a block, so `quorum-state.reserve` holds some that nobody else can take
 * (metadata_reserve.c does so for the log). It is given up for the file when there is no room, and
 * made again with each write, unless others were quicker: then the next vote on a full disk fails,
 * and with it the voter. */
#include <jansson.h>
#include <stdio.h>

#include "controller/metadata_log.h"

enum {
    FILE_MAX = 64 << 10,
    PATH_MAX_BYTES = 4096,
    RESERVE_BYTES = 64 << 10, /* a file of one block, and what a file system adds to it */
};

static int bad(struct errmsg *em, const char *path, const char *what)
{
    return errmsg_set(em, ERR_CORRUPT, "%s cannot be used: %s", path, what);
}

static bool take(json_t *o, const char *key, int32_t *out)
{
    json_t *v = json_object_get(o, key);
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < -1 || n > INT32_MAX) {
        return false;
    }
    *out = (int32_t)n;
    return true;
}

int quorum_state_read(struct io *io, const char *partition_dir, struct quorum_state *out,
                      struct errmsg *em)
{
    char path[PATH_MAX_BYTES];
    struct buf text = {0};
    *out = (struct quorum_state){-1, -1, -1, 0};
    snprintf(path, sizeof path, "%s/quorum-state", partition_dir);
    int err = io_read_file(io, path, FILE_MAX, &text);
    if (err) {
        buf_free(&text);
        return err == ERR_NOTFOUND ? 0
                                   : errmsg_set(em, err, "cannot read %s: %s", path, err_text(err));
    }
    json_error_t je;
    json_t *o = json_loadb((const char *)text.data, text.len, 0, &je);
    buf_free(&text);
    if (!json_is_object(o)) {
        err = bad(em, path, "it is not a JSON object");
    } else if (!take(o, "data_version", &out->data_version) || out->data_version < 0 ||
               out->data_version > 1) {
        err = bad(em, path, "its data_version is not 0 or 1 (written by a newer release?)");
    } else if (!take(o, "leaderEpoch", &out->epoch) || !take(o, "leaderId", &out->leader_id) ||
               !take(o, "votedId", &out->voted_id)) {
        err = bad(em, path, "leaderEpoch, leaderId or votedId is missing or no number");
    }
    json_decref(o);
    return err;
}

/* No error of it matters: there is no room, or the file system knows no reserve. */
static void keep_reserve(struct io *io, const char *reserve)
{
    struct io_file *f;
    if (io_open(io, reserve, IO_OPEN_WRITE | IO_OPEN_CREATE, &f) == 0) {
        (void)io_allocate(f, RESERVE_BYTES);
        io_file_close(f);
    }
}

static int replace(struct io *io, const char *path, struct bytes text)
{
    char reserve[PATH_MAX_BYTES + sizeof ".reserve"];
    snprintf(reserve, sizeof reserve, "%s.reserve", path);
    int err = io_replace_file(io, path, text.data, text.len);
    if (err == ERR_NOSPACE && io_unlink(io, reserve) == 0) {
        err = io_replace_file(io, path, text.data, text.len);
    }
    keep_reserve(io, reserve);
    return err;
}

int quorum_state_write(struct io *io, const char *partition_dir, const struct quorum_state *s,
                       const int32_t *voters, size_t voters_n, struct errmsg *em)
{
    char path[PATH_MAX_BYTES];
    struct buf text = {0};
    snprintf(path, sizeof path, "%s/quorum-state", partition_dir);
    if (s->data_version == 0) {
        buf_printf(&text,
                   "{\"clusterId\":\"\",\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":%d,"
                   "\"appliedOffset\":0,\"currentVoters\":[",
                   s->leader_id, s->epoch, s->voted_id);
        for (size_t i = 0; i < voters_n; i++) {
            buf_printf(&text, "%s{\"voterId\":%d}", i ? "," : "", voters[i]);
        }
        buf_put_str(&text, "],\"data_version\":0}");
    } else {
        buf_printf(&text,
                   "{\"leaderId\":%d,\"leaderEpoch\":%d,\"votedId\":%d,"
                   "\"votedDirectoryId\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"data_version\":1}",
                   s->leader_id, s->epoch, s->voted_id);
    }
    int err = replace(io, path, buf_bytes(&text));
    buf_free(&text);
    return err ? errmsg_set(em, err, "cannot write %s: %s", path, err_text(err)) : 0;
}

/* Term and vote to start with; a sole voter begins a new term as its leader. */
int quorum_state_prepare(struct io *io, const struct metadata_log *log, const int32_t *voters,
                         size_t voters_n, int32_t node_id, struct quorum_state *out,
                         struct errmsg *em)
{
    struct bytes record;
    int err = quorum_state_read(io, metadata_log_path(log), out, em);
    if (err) {
        return err;
    }
    int32_t last = metadata_log_last_epoch(log);
    if (out->epoch < last) {
        *out = (struct quorum_state){last, -1, -1, out->data_version};
    }
    if (out->voted_id < 0) { /* who leads in this epoch has our vote */
        out->voted_id = out->leader_id;
    }
    out->leader_id = -1;
    out->data_version = metadata_log_kraft_version(log, &record) > 0;
    if (out->epoch < 0) {
        out->epoch = 0;
    }
    if (voters_n == 1) {
        if (out->epoch == INT32_MAX) {
            return errmsg_set(em, ERR_RANGE, "%s/quorum-state has the largest epoch there is",
                              metadata_log_path(log));
        }
        out->epoch++;
        out->voted_id = -1;
        out->leader_id = node_id; /* as it will be in a moment; it counts as the own vote */
    } else if (out->epoch == 0) {
        out->epoch = 1; /* of the configuration, entry 1 */
    }
    return quorum_state_write(io, metadata_log_path(log), out, voters, voters_n, em);
}
