/* The contents of files in sim_disk.h's model. Pages are counted blocks that both contents share
 * until one changes, so an fsync costs a pointer a page and a power loss nothing for what was
 * synced. */
#include "sim/sim_disk.h"

#include <string.h>

#include "base/mem.h"

/* An fsync under way: the pages as they were when it began. */
struct sim_sync {
    struct list node;
    struct sim_inode *inode;
    uint64_t seq;
    uint64_t size;
    uint64_t size_low; /* the smallest size since the begin */
    size_t n;
    struct {
        size_t page;
        struct sim_block *block;
    } * v;
};

static bool chance(struct sim_disk *d, uint32_t ppm)
{
    return ppm != 0 && prng_below(&d->rng, 1000000) < ppm;
}

static uint64_t min64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static struct sim_block *block_ref(struct sim_block *b)
{
    if (b != NULL) {
        b->refs++;
    }
    return b;
}

static void block_unref(struct sim_block *b)
{
    if (b != NULL && --b->refs == 0) {
        mem_free(b);
    }
}

static struct sim_block *block_new(const struct sim_block *copy_of)
{
    struct sim_block *b = MEM_NEW(struct sim_block);
    if (copy_of != NULL) {
        memcpy(b->data, copy_of->data, SIM_PAGE);
    }
    b->refs = 1;
    return b;
}

struct sim_disk_faults sim_disk_no_faults(void)
{
    return (struct sim_disk_faults){.fsync_us_min = 50, .fsync_us_max = 300};
}

struct sim_disk *sim_disk_new(struct sim_clock *clock, uint64_t seed, uint64_t capacity)
{
    struct sim_disk *d = MEM_NEW(struct sim_disk);
    d->clock = clock;
    d->capacity = capacity;
    d->faults = sim_disk_no_faults();
    prng_seed(&d->rng, seed);
    list_init(&d->inodes);
    sim_names_init(d);
    return d;
}

static void page_clear(struct sim_inode *ino, struct sim_page *p)
{
    if (p->now != NULL) {
        ino->disk->used -= SIM_PAGE;
    }
    block_unref(p->now);
    block_unref(p->disk);
    *p = (struct sim_page){0};
}

static void inode_free_pages(struct sim_inode *ino)
{
    for (size_t i = 0; i < ino->npages; i++) {
        page_clear(ino, &ino->pages[i]);
    }
    mem_free(ino->pages);
    ino->pages = NULL;
    ino->npages = 0;
}

struct sim_inode *sim_inode_new(struct sim_disk *d, bool is_dir)
{
    struct sim_inode *ino = MEM_NEW(struct sim_inode);
    ino->disk = d;
    ino->id = ++d->next_id;
    ino->is_dir = is_dir;
    ino->mtime_ms = d->wall_ms ? d->wall_ms(d->wall_ctx) : 0;
    list_init(&ino->syncs);
    list_push_back(&d->inodes, &ino->node);
    return ino;
}

/* What only the platters hold takes no space that the kernel would count. */
static void inode_hide(struct sim_inode *ino)
{
    for (size_t i = 0; i < ino->npages; i++) {
        struct sim_page *p = &ino->pages[i];
        if (p->now != NULL) {
            ino->disk->used -= SIM_PAGE;
            block_unref(p->now);
            p->now = NULL;
        }
        p->dirty = p->dropped = false;
    }
}

void sim_inode_unref(struct sim_inode *ino)
{
    if (ino->names_now != 0 || ino->handles != 0) {
        return;
    }
    if (ino->names_disk != 0) {
        inode_hide(ino);
        return;
    }
    ASSERT(list_empty(&ino->syncs));
    inode_free_pages(ino);
    for (size_t i = 0; i < ino->now.n; i++) {
        mem_free(ino->now.v[i].name);
    }
    for (size_t i = 0; i < ino->disk_names.n; i++) {
        mem_free(ino->disk_names.v[i].name);
    }
    mem_free(ino->now.v);
    mem_free(ino->disk_names.v);
    list_remove(&ino->node);
    mem_free(ino);
}

void sim_disk_free(struct sim_disk *d)
{
    sim_names_free(d);
    list_for_each_safe (it, &d->inodes) {
        struct sim_inode *ino = LIST_ENTRY(it, struct sim_inode, node);
        ino->names_now = ino->names_disk = ino->handles = 0;
        sim_inode_unref(ino);
    }
    mem_free(d);
}

/* ---- reading and writing ---- */

static bool strikes(struct sim_disk *d, uint32_t ppm, uint64_t *countdown)
{
    bool hit = chance(d, ppm);
    if (*countdown != 0 && --*countdown == 0) {
        hit = true;
    }
    if (hit) {
        d->stats.eio++;
    }
    return hit;
}

/* The old bytes of pages that a failed fsync gave up come to light. */
static void evict(struct sim_inode *ino)
{
    for (size_t i = 0; i < ino->npages; i++) {
        struct sim_page *p = &ino->pages[i];
        if (!p->dropped) {
            continue;
        }
        p->dropped = false;
        ino->disk->used -= p->now ? SIM_PAGE : 0;
        ino->disk->used += p->disk ? SIM_PAGE : 0; /* also of a cut that did not get there */
        block_unref(p->now);
        p->now = block_ref(p->disk);
    }
}

int64_t sim_disk_read(struct sim_inode *ino, const struct iovec *iov, int iovcnt, uint64_t off)
{
    struct sim_disk *d = ino->disk;
    d->stats.reads++;
    if (strikes(d, d->faults.read_eio_ppm, &d->faults.read_eio_in)) {
        return ERR_IO;
    }
    if (chance(d, d->faults.evict_ppm)) {
        evict(ino);
    }
    int64_t total = 0;
    for (int i = 0; i < iovcnt && off < ino->size; i++) {
        uint8_t *to = iov[i].iov_base;
        uint64_t left = min64(iov[i].iov_len, ino->size - off);
        while (left > 0) {
            size_t at = (size_t)(off % SIM_PAGE);
            size_t n = (size_t)min64(left, SIM_PAGE - at);
            size_t page = (size_t)(off / SIM_PAGE);
            if (page < ino->npages && ino->pages[page].now != NULL) {
                memcpy(to, ino->pages[page].now->data + at, n);
            } else {
                memset(to, 0, n);
            }
            to += n;
            off += n;
            left -= n;
            total += (int64_t)n;
        }
    }
    return total;
}

static struct sim_page *page_at(struct sim_inode *ino, size_t index)
{
    if (index >= ino->npages) {
        size_t cap = ino->npages ? ino->npages * 2 : 4;
        cap = cap > index ? cap : index + 1;
        ino->pages = mem_realloc(ino->pages, cap * sizeof(*ino->pages));
        memset(ino->pages + ino->npages, 0, (cap - ino->npages) * sizeof(*ino->pages));
        ino->npages = cap;
    }
    return &ino->pages[index];
}

/* Makes the page writable; false when the disk is full. */
static bool page_own(struct sim_inode *ino, struct sim_page *p)
{
    if (p->now == NULL) {
        if (ino->disk->used + SIM_PAGE > ino->disk->capacity) {
            ino->disk->stats.nospace++;
            return false;
        }
        ino->disk->used += SIM_PAGE;
        p->now = block_new(NULL);
    } else if (p->now->refs > 1) {
        struct sim_block *b = block_new(p->now);
        block_unref(p->now);
        p->now = b;
    }
    return true;
}

static void touched(struct sim_inode *ino)
{
    ino->mtime_ms = ino->disk->wall_ms ? ino->disk->wall_ms(ino->disk->wall_ctx) : 0;
}

int64_t sim_disk_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt, uint64_t off,
                       uint64_t limit)
{
    struct sim_disk *d = ino->disk;
    uint64_t wanted = 0;
    for (int i = 0; i < iovcnt; i++) {
        wanted += iov[i].iov_len;
    }
    d->stats.writes++;
    if (d->on_write != NULL) {
        d->on_write(ino, iov, iovcnt, off);
    }
    int err = 0;
    if (d->faults.dead || strikes(d, d->faults.write_eio_ppm, &d->faults.write_eio_in)) {
        err = ERR_IO;
        limit = min64(limit, prng_below(&d->rng, 2) ? 0 : prng_below(&d->rng, wanted + 1));
    }
    uint64_t done = 0;
    for (int i = 0; i < iovcnt && (err == 0 || err == ERR_IO); i++) {
        const uint8_t *from = iov[i].iov_base;
        uint64_t left = min64(iov[i].iov_len, limit - done);
        while (left > 0) {
            size_t at = (size_t)(off % SIM_PAGE);
            size_t n = (size_t)min64(left, SIM_PAGE - at);
            struct sim_page *p = page_at(ino, (size_t)(off / SIM_PAGE));
            if (!page_own(ino, p)) {
                err = ERR_NOSPACE;
                break;
            }
            memcpy(p->now->data + at, from, n);
            p->dirty = true;
            p->dropped = false;
            from += n;
            off += n;
            left -= n;
            done += n;
        }
    }
    if (done > 0 && off > ino->size) {
        ino->size = off;
    }
    touched(ino);
    if (chance(d, d->faults.writeback_ppm)) {
        sim_disk_writeback(ino);
    }
    return err ? err : (int64_t)done;
}

int sim_disk_truncate(struct sim_inode *ino, uint64_t size)
{
    struct sim_disk *d = ino->disk;
    d->stats.writes++;
    if (d->faults.dead || strikes(d, d->faults.write_eio_ppm, &d->faults.write_eio_in)) {
        return ERR_IO;
    }
    if (size < ino->size) {
        size_t at = (size_t)(size % SIM_PAGE);
        size_t first = (size_t)(size / SIM_PAGE);
        if (at != 0 && first < ino->npages && ino->pages[first].now != NULL) {
            struct sim_block *b = block_new(ino->pages[first].now); /* needs no new space */
            memset(b->data + at, 0, SIM_PAGE - at);
            block_unref(ino->pages[first].now);
            ino->pages[first].now = b;
            ino->pages[first].dirty = true;
            ino->pages[first].dropped = false;
            first++;
        } else if (at != 0) {
            first++;
        }
        for (size_t i = first; i < ino->npages; i++) {
            struct sim_page *p = &ino->pages[i];
            if (p->now != NULL) {
                d->used -= SIM_PAGE;
                block_unref(p->now);
                p->now = NULL;
            }
            p->dirty = p->disk != NULL;
            p->dropped = false;
        }
    }
    ino->size = size;
    ino->size_low = min64(ino->size_low, size);
    list_for_each (it, &ino->syncs) {
        struct sim_sync *s = LIST_ENTRY(it, struct sim_sync, node);
        s->size_low = min64(s->size_low, size);
    }
    touched(ino);
    return 0;
}

int sim_disk_allocate(struct sim_inode *ino, uint64_t size)
{
    struct sim_disk *d = ino->disk;
    d->stats.writes++;
    if (d->faults.dead || strikes(d, d->faults.write_eio_ppm, &d->faults.write_eio_in)) {
        return ERR_IO;
    }
    for (uint64_t i = 0; i * SIM_PAGE < size; i++) {
        struct sim_page *p = page_at(ino, (size_t)i);
        if (p->now == NULL) {
            if (!page_own(ino, p)) {
                return ERR_NOSPACE;
            }
            p->dirty = true;
        }
    }
    return 0;
}

bool sim_disk_resident(struct sim_inode *ino)
{
    return !chance(ino->disk, ino->disk->faults.cold_ppm);
}

void sim_disk_forget(struct sim_inode *ino)
{
    evict(ino);
}

void sim_disk_close(struct sim_inode *ino)
{
    ASSERT(ino->handles > 0);
    ino->handles--;
    sim_inode_unref(ino);
}

/* ---- to the platters ---- */

static void page_to_disk(struct sim_page *p, struct sim_block *block, uint64_t seq)
{
    if (p->disk != block) {
        block_unref(p->disk);
        p->disk = block_ref(block);
    }
    p->disk_seq = seq;
    if (p->now == block) {
        p->dirty = p->dropped = false;
    } else if (!p->dropped) {
        p->dirty = true; /* changed or cut off since */
    }
}

void sim_disk_writeback(struct sim_inode *ino)
{
    struct sim_disk *d = ino->disk;
    if (ino->size_low < ino->size_disk) {
        return; /* the cut has to be journalled first */
    }
    uint64_t seq = ++d->sync_seq;
    for (size_t i = 0; i < ino->npages; i++) {
        struct sim_page *p = &ino->pages[i];
        if (p->dirty && p->now != NULL && prng_below(&d->rng, 2)) {
            page_to_disk(p, p->now, seq);
            uint64_t end = min64((uint64_t)(i + 1) * SIM_PAGE, ino->size);
            ino->size_disk = end > ino->size_disk ? end : ino->size_disk;
        }
    }
}

struct sim_sync *sim_disk_sync_begin(struct sim_inode *ino)
{
    struct sim_sync *s = MEM_NEW(struct sim_sync);
    s->inode = ino;
    s->seq = ++ino->disk->sync_seq;
    s->size = s->size_low = ino->size;
    size_t dirty = 0;
    for (size_t i = 0; i < ino->npages; i++) {
        dirty += ino->pages[i].dirty;
    }
    s->v = mem_alloc((dirty + 1) * sizeof(*s->v));
    for (size_t i = 0; i < ino->npages; i++) {
        if (ino->pages[i].dirty) {
            s->v[s->n].page = i;
            s->v[s->n].block = block_ref(ino->pages[i].now);
            s->n++;
        }
    }
    list_push_back(&ino->syncs, &s->node);
    ino->disk->stats.fsyncs++;
    return s;
}

void sim_disk_sync_drop(struct sim_sync *s)
{
    for (size_t i = 0; i < s->n; i++) {
        block_unref(s->v[i].block);
    }
    list_remove(&s->node);
    mem_free(s->v);
    mem_free(s);
}

/* The kernel has reported the error; it will not try these pages again. */
static void sync_failed(struct sim_sync *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct sim_page *p = &s->inode->pages[s->v[i].page];
        if (p->dirty && p->now == s->v[i].block) {
            p->dirty = false;
            p->dropped = true;
        }
    }
}

int sim_disk_sync_end(struct sim_sync *s)
{
    struct sim_inode *ino = s->inode;
    struct sim_disk *d = ino->disk;
    int err = 0;
    if (d->faults.dead || strikes(d, d->faults.fsync_eio_ppm, &d->faults.fsync_eio_in)) {
        sync_failed(s);
        err = ERR_IO;
    } else if (!d->lies.fsync) {
        for (size_t i = 0; i < s->n; i++) {
            struct sim_page *p = page_at(ino, s->v[i].page);
            if (p->disk_seq <= s->seq) {
                page_to_disk(p, s->v[i].block, s->seq);
            }
        }
        if (ino->size_seq <= s->seq) { /* a later one may have come home before */
            ino->size_seq = s->seq;
            ino->size_disk = s->size;
            ino->size_low = s->size_low;
        }
    }
    sim_disk_sync_drop(s);
    return err;
}

int sim_disk_fsync(struct sim_inode *ino)
{
    return sim_disk_sync_end(sim_disk_sync_begin(ino));
}

int64_t sim_disk_fsync_delay(struct sim_disk *d)
{
    const struct sim_disk_faults *f = &d->faults;
    if (chance(d, f->stall_ppm)) {
        return f->stall_us;
    }
    uint32_t span = f->fsync_us_max > f->fsync_us_min ? f->fsync_us_max - f->fsync_us_min : 0;
    return f->fsync_us_min + (int64_t)prng_below(&d->rng, (uint64_t)span + 1);
}

/* ---- the end ---- */

void sim_disk_closed(struct sim_disk *d)
{
    d->faults.dead = false;
    list_for_each (it, &d->inodes) {
        struct sim_inode *ino = LIST_ENTRY(it, struct sim_inode, node);
        ASSERT(ino->handles == 0 && list_empty(&ino->syncs));
        ino->locker = NULL;
        if (!d->keeps_dropped) {
            evict(ino);
        }
    }
}

void sim_disk_killed(struct sim_disk *d)
{
    d->stats.kills++;
    if (d->lies.kill) {
        sim_disk_power_loss(d);
    } else {
        sim_disk_closed(d);
    }
}

/* How a file fares in a power loss. */
struct fate {
    unsigned keep_percent; /* of the units */
    bool by_sector;
    bool cut_done;       /* the unsynced cut happened */
    uint64_t size;       /* the size that remains */
    uint64_t synced_end; /* no byte from here on was ever synced */
};

static struct fate fate_draw(struct sim_inode *ino)
{
    static const unsigned percents[] = {0, 0, 10, 50, 90, 100};
    struct prng *rng = &ino->disk->rng;
    struct fate f = {0};
    f.keep_percent = percents[prng_below(rng, ARRAY_LEN(percents))];
    f.by_sector = prng_below(rng, 2);
    f.synced_end = min64(ino->size_disk, ino->size_low);
    f.cut_done = ino->size_low >= ino->size_disk || f.keep_percent == 100 ||
                 (f.keep_percent > 0 && prng_below(rng, 2));
    f.size = ino->size_disk;
    if (f.cut_done && f.keep_percent > 0) {
        uint64_t low = f.synced_end;
        uint64_t high = ino->size > low ? ino->size : low;
        switch (prng_below(rng, 3)) {
        case 0:
            f.size = low;
            break;
        case 1:
            f.size = high;
            break;
        default:
            f.size = low + prng_below(rng, high - low + 1);
        }
        if (f.keep_percent == 100) {
            f.size = ino->size;
        }
    }
    return f;
}

/* One unsynced page: each sector old or new, by fate. */
static void page_power_loss(struct sim_inode *ino, size_t index, const struct fate *f)
{
    struct sim_disk *d = ino->disk;
    struct sim_page *p = &ino->pages[index];
    uint64_t start = (uint64_t)index * SIM_PAGE;
    if (start >= f->synced_end && !f->cut_done) {
        d->stats.sectors_lost += SIM_SECTORS;
        return; /* in blocks that only the journal would have made part of the file */
    }
    struct sim_block *b = block_new(p->disk);
    if (f->cut_done && f->synced_end < start + SIM_PAGE) {
        size_t from = f->synced_end > start ? (size_t)(f->synced_end - start) : 0;
        memset(b->data + from, 0, SIM_PAGE - from);
    }
    bool keep = prng_below(&d->rng, 100) < f->keep_percent;
    for (size_t s = 0; s < SIM_SECTORS; s++) {
        uint64_t at = start + s * SIM_SECTOR;
        if (f->by_sector) {
            keep = prng_below(&d->rng, 100) < f->keep_percent;
        }
        bool no_synced = (f->cut_done && at >= f->synced_end) || d->lies.tear;
        if (at + SIM_SECTOR > f->synced_end && !f->cut_done) {
            keep = false;
        }
        if (keep) {
            static const uint8_t zeros[SIM_SECTOR];
            memcpy(b->data + s * SIM_SECTOR, p->now ? p->now->data + s * SIM_SECTOR : zeros,
                   SIM_SECTOR);
            d->stats.sectors_kept++;
        } else if (no_synced && f->keep_percent > 0 &&
                   prng_below(&d->rng, d->lies.tear ? 2 : 50) == 0) {
            for (size_t i = 0; i < SIM_SECTOR; i++) {
                b->data[s * SIM_SECTOR + i] = (uint8_t)prng_next(&d->rng);
            }
            d->stats.sectors_garbled++;
        } else {
            d->stats.sectors_lost++;
        }
    }
    block_unref(p->disk);
    p->disk = b;
}

static void file_power_loss(struct sim_inode *ino)
{
    struct fate f = fate_draw(ino);
    for (size_t i = 0; i < ino->npages; i++) {
        struct sim_page *p = &ino->pages[i];
        if (p->dirty && f.keep_percent > 0) {
            page_power_loss(ino, i, &f);
        }
    }
    for (size_t i = 0; i < ino->npages; i++) {
        struct sim_page *p = &ino->pages[i];
        uint64_t start = (uint64_t)i * SIM_PAGE;
        if (p->disk != NULL && start >= f.size) {
            block_unref(p->disk);
            p->disk = NULL;
        } else if (p->disk != NULL && start + SIM_PAGE > f.size) {
            struct sim_block *b = block_new(p->disk);
            memset(b->data + (f.size - start), 0, (size_t)(start + SIM_PAGE - f.size));
            block_unref(p->disk);
            p->disk = b;
        }
        ino->disk->used -= p->now ? SIM_PAGE : 0;
        ino->disk->used += p->disk ? SIM_PAGE : 0;
        block_unref(p->now);
        p->now = block_ref(p->disk);
        p->dirty = p->dropped = false;
    }
    ino->size = ino->size_disk = ino->size_low = f.size;
}

void sim_disk_power_loss(struct sim_disk *d)
{
    d->stats.power_losses++;
    d->faults.dead = false;
    /* Names first: a file whose removal is lost was hidden, and shows its bytes again below. */
    sim_names_power_loss(d);
    list_for_each (it, &d->inodes) {
        struct sim_inode *ino = LIST_ENTRY(it, struct sim_inode, node);
        ASSERT(ino->handles == 0 && list_empty(&ino->syncs));
        ino->locker = NULL;
        if (!ino->is_dir) {
            file_power_loss(ino);
        }
    }
}

int sim_disk_corrupt(struct sim_disk *d, const char *path, uint64_t byte, unsigned bit)
{
    struct sim_inode *ino;
    int err = sim_disk_open(d, path, IO_OPEN_READ, &ino);
    if (err != 0) {
        return err;
    }
    if (byte >= ino->size) {
        sim_disk_close(ino);
        return ERR_RANGE;
    }
    struct sim_page *p = page_at(ino, (size_t)(byte / SIM_PAGE));
    struct sim_block **both[] = {&p->now, &p->disk};
    bool same = p->now == p->disk;
    for (int i = 0; i < (same ? 1 : 2); i++) {
        if (*both[i] == NULL) {
            continue;
        }
        struct sim_block *b = block_new(*both[i]);
        b->data[byte % SIM_PAGE] ^= (uint8_t)(1u << (bit % 8));
        block_unref(*both[i]);
        *both[i] = b;
    }
    if (same && p->now != NULL) {
        block_unref(p->disk);
        p->disk = block_ref(p->now);
    }
    sim_disk_close(ino);
    return 0;
}
