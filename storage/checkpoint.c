#include "storage/checkpoint.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"

enum {
    CHECKPOINT_BYTES_MAX = 256 << 20, /* a million entries of 255 characters */
    TOKENS_MAX = 3,
};

/* ---- lines ---- */

struct line_reader {
    struct bytes rest;
    unsigned line; /* number of the line last read */
};

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* The next line's tokens, separated by white space; the number of them (one more than `max` if
 * there are too many), or -1 at the end of the text. */
static int next_line(struct line_reader *r, struct bytes *tok, int max)
{
    if (r->rest.len == 0) {
        return -1;
    }
    const uint8_t *nl = memchr(r->rest.data, '\n', r->rest.len);
    size_t len = nl ? (size_t)(nl - r->rest.data) : r->rest.len;
    const uint8_t *p = r->rest.data;
    const uint8_t *end = p + len;
    size_t step = nl ? len + 1 : len;
    r->rest = bytes_of(r->rest.data + step, r->rest.len - step);
    r->line++;
    int n = 0;
    for (;;) {
        while (p < end && is_blank(*p)) {
            p++;
        }
        if (p == end) {
            return n;
        }
        const uint8_t *start = p;
        while (p < end && !is_blank(*p)) {
            p++;
        }
        if (n == max) {
            return max + 1;
        }
        tok[n++] = bytes_of(start, (size_t)(p - start));
    }
}

static bool parse_int64(struct bytes t, int64_t *out)
{
    bool neg = t.len > 0 && t.data[0] == '-';
    size_t i = neg ? 1 : 0;
    if (i == t.len || t.len - i > 19) {
        return false;
    }
    uint64_t v = 0;
    for (; i < t.len; i++) {
        if (t.data[i] < '0' || t.data[i] > '9') {
            return false;
        }
        v = v * 10 + (uint64_t)(t.data[i] - '0');
    }
    if (v > (uint64_t)INT64_MAX) {
        return false;
    }
    *out = neg ? -(int64_t)v : (int64_t)v;
    return true;
}

/* Version and count; the entries follow. 1: there are entries to read, 0: the text is empty. */
static int read_head(struct line_reader *r, int64_t *count, struct errmsg *em)
{
    struct bytes tok[1];
    int64_t version;
    int n = next_line(r, tok, 1);
    if (n < 0) {
        return 0;
    }
    if (n != 1 || !parse_int64(tok[0], &version)) {
        return errmsg_set(em, ERR_CORRUPT, "line 1 is not a version number");
    }
    if (version != 0) {
        return errmsg_set(em, ERR_UNSUPPORTED, "version is %lld; only 0 is known",
                          (long long)version);
    }
    if (next_line(r, tok, 1) != 1 || !parse_int64(tok[0], count) || *count < 0) {
        return errmsg_set(em, ERR_CORRUPT, "line 2 is not a number of entries");
    }
    return 1;
}

static int check_tail(struct line_reader *r, int64_t count, int64_t seen, struct errmsg *em)
{
    struct bytes tok[1];
    if (seen < count) {
        return errmsg_set(em, ERR_CORRUPT, "%lld entries announced, %lld found", (long long)count,
                          (long long)seen);
    }
    for (int n; (n = next_line(r, tok, 1)) >= 0;) {
        if (n > 0) {
            return errmsg_set(em, ERR_CORRUPT, "%lld entries announced, more found on line %u",
                              (long long)count, r->line);
        }
    }
    return 0;
}

int checkpoint_parse_pairs(struct bytes text, int (*each)(void *ctx, int64_t a, int64_t b),
                           void *ctx, struct errmsg *em)
{
    struct line_reader r = {.rest = text};
    int64_t count = 0;
    int rc = read_head(&r, &count, em);
    if (rc <= 0) {
        return rc;
    }
    for (int64_t i = 0; i < count; i++) {
        struct bytes tok[2];
        int64_t a, b;
        int n = next_line(&r, tok, 2);
        if (n < 0) {
            return check_tail(&r, count, i, em);
        }
        if (n != 2 || !parse_int64(tok[0], &a) || !parse_int64(tok[1], &b)) {
            return errmsg_set(em, ERR_CORRUPT, "line %u is not two numbers", r.line);
        }
        rc = each(ctx, a, b);
        if (rc < 0) {
            return errmsg_set(em, rc, "line %u: %lld %lld is out of range", r.line, (long long)a,
                              (long long)b);
        }
    }
    return check_tail(&r, count, count, em);
}

/* ---- tables ---- */

static struct bytes name_key(const char *name)
{
    return bytes_str(name);
}

static void set_entry(struct offset_table *t, struct bytes topic, int32_t partition, int64_t offset)
{
    char digits[16];
    int nd = snprintf(digits, sizeof digits, "-%d", partition);
    ASSERT(nd > 0 && nd < (int)sizeof digits);
    char *name = arena_alloc(&t->arena, topic.len + (size_t)nd + 1);
    memcpy(name, topic.data, topic.len);
    memcpy(name + topic.len, digits, (size_t)nd + 1);
    struct offset_entry *e = map_get(&t->map, name_key(name));
    if (e == NULL) {
        e = ARENA_NEW(&t->arena, struct offset_entry);
        e->name = name;
        e->topic = arena_strndup(&t->arena, topic.data, topic.len);
        e->partition = partition;
        map_put(&t->map, name_key(name), e);
        if (t->last) {
            t->last->next = e;
        } else {
            t->first = e;
        }
        t->last = e;
    }
    e->offset = offset;
}

void offset_table_set(struct offset_table *t, const char *topic, int32_t partition, int64_t offset)
{
    set_entry(t, bytes_str(topic), partition, offset);
}

int64_t offset_table_get(const struct offset_table *t, const char *name, int64_t dflt)
{
    const struct offset_entry *e = map_get(&t->map, name_key(name));
    return e ? e->offset : dflt;
}

void offset_table_free(struct offset_table *t)
{
    map_free(&t->map);
    arena_free(&t->arena);
    *t = (struct offset_table){0};
}

static int parse_offsets(struct bytes text, struct offset_table *out, struct errmsg *em)
{
    struct line_reader r = {.rest = text};
    int64_t count = 0;
    int rc = read_head(&r, &count, em);
    if (rc <= 0) {
        return rc;
    }
    for (int64_t i = 0; i < count; i++) {
        struct bytes tok[TOKENS_MAX];
        int64_t partition, offset;
        int n = next_line(&r, tok, TOKENS_MAX);
        if (n < 0) {
            return check_tail(&r, count, i, em);
        }
        if (n != 3 || memchr(tok[0].data, 0, tok[0].len) || !parse_int64(tok[1], &partition) ||
            partition < 0 || partition > INT32_MAX || !parse_int64(tok[2], &offset)) {
            return errmsg_set(em, ERR_CORRUPT, "line %u is not topic, partition and offset",
                              r.line);
        }
        set_entry(out, tok[0], (int32_t)partition, offset);
    }
    return check_tail(&r, count, count, em);
}

int offset_checkpoint_read(struct io *io, const char *dir, const char *file,
                           struct offset_table *out, struct errmsg *em)
{
    struct buf path = {0};
    struct buf text = {0};
    struct errmsg why = {{0}};
    *out = (struct offset_table){0};
    buf_printf(&path, "%s/%s", dir, file);
    int rc = io_read_file(io, buf_cstr(&path), CHECKPOINT_BYTES_MAX, &text);
    if (rc == ERR_NOTFOUND) {
        rc = 0;
        goto out;
    }
    if (rc < 0) {
        errmsg_set(em, rc, "%s cannot be read: %s", buf_cstr(&path), err_text(rc));
        goto out;
    }
    rc = parse_offsets(buf_bytes(&text), out, &why);
    if (rc < 0) {
        errmsg_set(em, rc, "%s: %s", buf_cstr(&path), why.text);
        offset_table_free(out);
    }
out:
    buf_free(&text);
    buf_free(&path);
    return rc < 0 ? rc : 0;
}

static void put_table(struct buf *text, const struct offset_table *t)
{
    buf_printf(text, "0\n%zu\n", t->map.count);
    for (const struct offset_entry *e = t->first; e; e = e->next) {
        buf_printf(text, "%s %d %lld\n", e->topic, e->partition, (long long)e->offset);
    }
}

int offset_checkpoint_write(struct io *io, const char *dir, const char *file,
                            const struct offset_table *t)
{
    struct buf path = {0};
    struct buf text = {0};
    buf_printf(&path, "%s/%s", dir, file);
    put_table(&text, t);
    int rc = io_replace_file(io, buf_cstr(&path), text.data, text.len);
    buf_free(&text);
    buf_free(&path);
    return rc;
}

/* ---- on a worker ---- */

static void write_work(struct io_op *op)
{
    struct checkpoint_write *w = CONTAINER_OF(op, struct checkpoint_write, op);
    op->result = io_replace_file(w->io, w->path, w->text.data, w->text.len);
}

static void write_done(struct io_op *op, int64_t result)
{
    struct checkpoint_write *w = CONTAINER_OF(op, struct checkpoint_write, op);
    mem_free(w->path);
    buf_free(&w->text);
    w->path = NULL;
    w->cb(op, result);
}

void offset_checkpoint_write_start(struct io *io, const char *dir, const char *file,
                                   const struct offset_table *t, struct checkpoint_write *w,
                                   io_op_cb *cb)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s", dir, file);
    void *user = w->op.user;
    *w = (struct checkpoint_write){.io = io, .cb = cb};
    w->op.user = user;
    w->op.cb = write_done;
    w->path = mem_strdup(buf_cstr(&path));
    buf_free(&path);
    put_table(&w->text, t);
    io_work(io, &w->op, write_work);
}
