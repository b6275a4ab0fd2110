#include "storage/file_cache.h"

#include "base/assert.h"
#include "base/mem.h"

void file_cache_init(struct file_cache *fc, struct io *io, uint32_t limit)
{
    *fc = (struct file_cache){.io = io, .limit = limit < 16 ? 16 : limit};
    list_init(&fc->lru);
}

static void close_file(struct cached_file *cf)
{
    ASSERT(cf->leases == 0);
    ASSERT(cf->cache->count > 0);
    list_remove(&cf->lru);
    io_file_close(cf->file);
    cf->cache->count--;
    mem_free(cf);
}

void file_cache_drop(struct cached_file **slot)
{
    struct cached_file *cf = *slot;
    if (cf == NULL) {
        return;
    }
    ASSERT(cf->slot == slot);
    *slot = NULL;
    cf->slot = NULL;
    list_remove(&cf->lru);
    if (cf->leases == 0) {
        close_file(cf);
    }
}

/* Closes the oldest file that nobody holds; false when all are held. */
static bool evict_one(struct file_cache *fc)
{
    list_for_each (it, &fc->lru) {
        struct cached_file *cf = LIST_ENTRY(it, struct cached_file, lru);
        if (cf->leases == 0) {
            fc->evictions++;
            file_cache_drop(cf->slot);
            return true;
        }
    }
    return false;
}

void file_cache_close_all(struct file_cache *fc)
{
    while (evict_one(fc)) {
    }
    ASSERT(fc->count == 0);
}

void file_cache_trim(struct file_cache *fc, int64_t before_ms)
{
    list_for_each_safe (it, &fc->lru) {
        struct cached_file *cf = LIST_ENTRY(it, struct cached_file, lru);
        if (cf->used_ms >= before_ms) {
            return;
        }
        if (cf->leases == 0) {
            file_cache_drop(cf->slot);
        }
    }
}

int file_cache_get(struct file_cache *fc, struct cached_file **slot, const char *path,
                   unsigned flags, struct cached_file **out)
{
    struct cached_file *cf = *slot;
    if (cf == NULL) {
        while (fc->count >= fc->limit && evict_one(fc)) {
        }
        struct io_file *file;
        int rc = io_open(fc->io, path, flags, &file);
        if (rc == ERR_MFILE && evict_one(fc)) {
            rc = io_open(fc->io, path, flags, &file);
        }
        if (rc < 0) {
            return rc;
        }
        cf = MEM_NEW(struct cached_file);
        cf->file = file;
        cf->slot = slot;
        cf->cache = fc;
        list_init(&cf->lru);
        *slot = cf;
        fc->count++;
        fc->opens++;
    }
    ASSERT(cf->slot == slot && cf->cache == fc);
    cf->used_ms = io_now_ms(fc->io);
    list_remove(&cf->lru);
    list_push_back(&fc->lru, &cf->lru);
    *out = cf;
    return 0;
}

struct file_lease file_lease_take(struct cached_file *cf)
{
    cf->leases++;
    cf->cache->lent++;
    return (struct file_lease){cf};
}

void file_lease_release(struct file_lease *lease)
{
    struct cached_file *cf = lease->cf;
    if (cf == NULL) {
        return;
    }
    lease->cf = NULL;
    ASSERT(cf->leases > 0 && cf->cache->lent > 0);
    cf->cache->lent--;
    if (--cf->leases == 0 && cf->slot == NULL) {
        close_file(cf);
    }
}
