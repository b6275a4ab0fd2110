#include "broker/dir_wanted.h"

#include <inttypes.h>

#include "base/buf.h"
#include "base/mem.h"

struct wanted_dir {
    unsigned dir;
    size_t len;
    uint8_t name[];
};

static struct bytes name_of(struct bytes topic, int32_t index, struct buf *b)
{
    buf_put(b, topic.data, topic.len);
    buf_printf(b, "-%" PRId32, index);
    return buf_bytes(b);
}

void dir_wanted_init(struct dir_wanted *w, const struct siphash_key *secret)
{
    *w = (struct dir_wanted){.by_name.secret = secret};
}

void dir_wanted_set(struct dir_wanted *w, struct bytes topic, int32_t index, unsigned dir)
{
    struct buf b = {0};
    struct bytes name = name_of(topic, index, &b);
    struct wanted_dir *wd = map_get(&w->by_name, name);
    if (wd == NULL && w->by_name.count < DIR_WANTED_MAX) {
        wd = mem_zalloc(sizeof *wd + name.len);
        wd->len = name.len;
        memcpy(wd->name, name.data, name.len);
        map_put(&w->by_name, bytes_of(wd->name, wd->len), wd);
    }
    if (wd) {
        wd->dir = dir;
    }
    buf_free(&b);
}

int dir_wanted_take(struct dir_wanted *w, struct bytes topic, int32_t index)
{
    struct buf b = {0};
    if (w->by_name.count == 0) {
        return -1;
    }
    struct wanted_dir *wd = map_remove(&w->by_name, name_of(topic, index, &b));
    int dir = wd ? (int)wd->dir : -1;
    buf_free(&b);
    mem_free(wd);
    return dir;
}

void dir_wanted_free(struct dir_wanted *w)
{
    map_for_each (slot, &w->by_name) {
        mem_free(slot->value);
    }
    map_free(&w->by_name);
}
