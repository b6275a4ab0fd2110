/* See hooks.h. A name __wrap_x is called in place of x, which is __real_x here (CMakeLists.txt has
 * the list). */
#include "sim/hooks.h"

#include "base/crc32c.h"
#include "proto/record_batch.h"
#include "storage/log.h"
#include "storage/producer_state.h"

static struct {
    struct run *run;
    struct sim_disk *disk; /* the first one that the breach is said of */
    struct prng rng;       /* of its own: a run with a breach is else the run without */
    uint64_t full_in;
    uint64_t struck;
} hooks;

void hooks_init(struct run *r)
{
    hooks.run = r;
    prng_seed(&hooks.rng, ~r->seed);
}

void hooks_breach(struct sim_disk *d)
{
    hooks.disk = hooks.disk ? hooks.disk : d;
}

void hooks_full_in(uint64_t n)
{
    hooks.full_in = n;
}

uint64_t hooks_struck(void)
{
    return hooks.struck;
}

bool hooks_strike(enum run_mutant m, unsigned one_in)
{
    bool begun = hooks.disk != NULL || m >= MUTANT_COMMIT; /* a coordinator has no disk */
    if (hooks.run == NULL || hooks.run->mutant != m || !begun ||
        prng_below(&hooks.rng, one_in) != 0) {
        return false;
    }
    hooks.struck++;
    return true;
}

static bool in_product(void)
{
    const struct sim *s = hooks.run ? hooks.run->sim : NULL;
    if (s == NULL) {
        return false;
    }
    list_for_each (it, &s->hosts) {
        const struct sim_host *h = LIST_ENTRY(it, struct sim_host, node);
        list_for_each (jt, &h->procs) {
            if (LIST_ENTRY(jt, struct sim_proc, node)->home != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* ---- the disk ---- */

int64_t __real_sim_disk_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt,
                              uint64_t off, uint64_t limit);
int64_t __wrap_sim_disk_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt,
                              uint64_t off, uint64_t limit);
int64_t __wrap_sim_disk_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt,
                              uint64_t off, uint64_t limit)
{
    uint32_t crc = 0;
    int64_t wanted = 0;
    for (int i = 0; i < iovcnt; i++) {
        crc = crc32c(crc, iov[i].iov_base, iov[i].iov_len);
        wanted += (int64_t)iov[i].iov_len;
    }
    if (hooks.run != NULL) {
        run_digest(hooks.run, ino->id << 32 | crc);
        run_digest(hooks.run, off);
    }
    if (ino->disk == hooks.disk && hooks.full_in != 0 && --hooks.full_in == 0) {
        ino->disk->capacity = ino->disk->used;
    }
    if (limit == UINT64_MAX && hooks_strike(MUTANT_WRITE, 50)) {
        return wanted;
    }
    return __real_sim_disk_write(ino, iov, iovcnt, off, limit);
}

int __real_sim_disk_truncate(struct sim_inode *ino, uint64_t size);
int __wrap_sim_disk_truncate(struct sim_inode *ino, uint64_t size);
int __wrap_sim_disk_truncate(struct sim_inode *ino, uint64_t size)
{
    if (size < ino->size && hooks_strike(MUTANT_CUT, 1)) {
        return 0;
    }
    return __real_sim_disk_truncate(ino, size);
}

/* ---- production code ---- */

bool __real_batch_crc_check(struct bytes batch);
bool __wrap_batch_crc_check(struct bytes batch);
bool __wrap_batch_crc_check(struct bytes batch)
{
    bool good = __real_batch_crc_check(batch);
    return good || (in_product() && hooks_strike(MUTANT_CRC, 1));
}

const struct producer_batch *__real_producer_duplicate(const struct producer *p,
                                                       const struct batch_header *h);
const struct producer_batch *__wrap_producer_duplicate(const struct producer *p,
                                                       const struct batch_header *h);
const struct producer_batch *__wrap_producer_duplicate(const struct producer *p,
                                                       const struct batch_header *h)
{
    const struct producer_batch *b = __real_producer_duplicate(p, h);
    return b != NULL && hooks_strike(MUTANT_SEQUENCE, 1) ? NULL : b;
}

enum plog_result __real_producer_check(struct producer *p, const struct batch_header *h,
                                       int64_t base, enum plog_origin origin);
enum plog_result __wrap_producer_check(struct producer *p, const struct batch_header *h,
                                       int64_t base, enum plog_origin origin);
enum plog_result __wrap_producer_check(struct producer *p, const struct batch_header *h,
                                       int64_t base, enum plog_origin origin)
{
    enum plog_result res = __real_producer_check(p, h, base, origin);
    return res != PLOG_APPENDED && hooks_strike(MUTANT_SEQUENCE, 1) ? PLOG_APPENDED : res;
}

/* One batch in a hundred is answered and not appended; of a coordinator's more. */
unsigned __real_plog_append(struct plog *log, struct plog_batch *batches, unsigned count,
                            const struct plog_append_args *args);
unsigned __wrap_plog_append(struct plog *log, struct plog_batch *batches, unsigned count,
                            const struct plog_append_args *args);
unsigned __wrap_plog_append(struct plog *log, struct plog_batch *batches, unsigned count,
                            const struct plog_append_args *args)
{
    struct batch_header h;
    bool lie = (args->origin == PLOG_CLIENT && hooks_strike(MUTANT_ACK, 100)) ||
               (args->origin == PLOG_COORDINATOR && hooks_strike(MUTANT_COMMIT, 15));
    if (!lie || count != 1 || batch_header_read(bytes_of(batches->data, batches->len), &h) != 0) {
        return __real_plog_append(log, batches, count, args);
    }
    batches->result = PLOG_APPENDED;
    batches->base_offset = plog_end_offset(log);
    batches->last_offset = batches->base_offset + h.last_offset_delta;
    batches->append_time_ms = -1;
    return 0;
}

int64_t __real_plog_flushed_offset(const struct plog *log);
int64_t __wrap_plog_flushed_offset(const struct plog *log);
int64_t __wrap_plog_flushed_offset(const struct plog *log)
{
    return hooks_strike(MUTANT_EARLY, 1) ? plog_end_offset(log) : __real_plog_flushed_offset(log);
}
