#include "storage/last_run.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/buf.h"

enum { TEXT_MAX = 512, PATH_BYTES = 4096 };

static int path_of(const char *dir, char path[PATH_BYTES])
{
    int n = snprintf(path, PATH_BYTES, "%s/" LAST_RUN_FILE, dir);
    return n < PATH_BYTES ? 0 : ERR_TOOBIG;
}

static void put(struct buf *out, const struct last_run *run)
{
    char id[UUID_TEXT];
    buf_printf(out, "{\"version\":0,\"kernel\":\"%s\",\"brokerEpoch\":%lld,\"incarnation\":\"%s\"}",
               run->kernel, (long long)run->broker_epoch, uuid_text(run->incarnation, id));
}

/* Exactly what put would make of it: a power loss may leave any part of the file. */
static int take(struct buf *text, struct last_run *out)
{
    struct buf again = {0};
    char id[UUID_TEXT] = "";
    long long epoch = -1;
    *out = (struct last_run){.broker_epoch = -1};
    static_assert(sizeof out->kernel == 96 && UUID_TEXT == 23, "the widths below");
    int n = sscanf(buf_cstr(text),
                   "{\"version\":0,\"kernel\":\"%95[^\"]\",\"brokerEpoch\":%lld,"
                   "\"incarnation\":\"%22[^\"]\"}",
                   out->kernel, &epoch, id);
    if (n != 3 || uuid_parse(id, strlen(id), &out->incarnation) != 0) {
        return ERR_CORRUPT;
    }
    out->broker_epoch = epoch;
    put(&again, out);
    bool same = again.len == text->len && memcmp(again.data, text->data, text->len) == 0;
    buf_free(&again);
    return same ? 0 : ERR_CORRUPT;
}

int last_run_read(struct io *io, const char *dir, struct last_run *out)
{
    char path[PATH_BYTES];
    struct buf text = {0};
    int err = path_of(dir, path);
    err = err ? err : io_read_file(io, path, TEXT_MAX, &text);
    err = err ? err : take(&text, out);
    buf_free(&text);
    return err;
}

/* Where no file can be made or taken away, the one that is there can perhaps say something else, or
 * nothing. A process that ends in the middle leaves what nobody believes. */
static int write_over(struct io *io, const char *path, struct bytes text)
{
    struct io_file *f;
    int err = io_open(io, path, IO_OPEN_WRITE, &f);
    if (err != 0) {
        return err;
    }
    int64_t n = text.len ? io_pwrite(f, text.data, text.len, 0) : 0;
    err = n < 0 ? (int)n : io_truncate(f, text.len);
    io_file_close(f);
    return err;
}

int last_run_write(struct io *io, const char *dir, const struct last_run *run)
{
    char path[PATH_BYTES];
    struct buf text = {0};
    int err = path_of(dir, path);
    put(&text, run);
    err = err ? err : io_rewrite_file(io, path, text.data, text.len);
    if (err == ERR_NOSPACE) {
        int over = write_over(io, path, buf_bytes(&text));
        err = over == ERR_NOTFOUND ? err : over;
    }
    buf_free(&text);
    return err;
}

int last_run_remove(struct io *io, const char *dir)
{
    char path[PATH_BYTES];
    int err = path_of(dir, path);
    if (err != 0) {
        return err;
    }
    err = io_unlink(io, path);
    if (err == 0 || err == ERR_NOTFOUND) {
        return 0;
    }
    return write_over(io, path, (struct bytes){0}) == 0 ? 0 : err;
}
