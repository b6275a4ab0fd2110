/* A file system in memory that can be cut off at any moment: what a machine's disk may do to the
 * files of a process.
 *
 * THE FAULT MODEL
 *
 * Every file has two contents: what the kernel shows (the page cache) and what is on the platters.
 * Names are kept twice in the same way. A call changes the first; the second follows
 *   - by fsync of the file: its bytes and its size; nothing of its name;
 *   - by fsync_dir of a folder: the names in it that were made, replaced or removed; not the name
 * of the folder itself, not what lies deeper, not the bytes of the files;
 *   - or by chance, at any time (the kernel writes back single pages and journals names on its
 * own). Stricter than ext4, where an fsync of a new file also keeps its name: POSIX promises no
 * more.
 *
 * Killed process (sim_disk_killed): the kernel lives on. Nothing that was written is lost, a call
 * that was under way may have done a part: of a write, the first bytes.
 *
 * Power loss (sim_disk_power_loss): what was on the platters stays, and of the rest an accidental
 * part. Drawn anew for each file and folder:
 *   - nothing, everything, or any subset of the unsynced pages or of their 512-byte sectors, so
 * that a write is torn in the middle and a later one may survive where an earlier one did not;
 *   - a size between the old and the new one; what lies between and was not kept reads as zeros;
 *   - an unsynced cut happened or not; if it did, what was written behind it may be missing;
 *   - names: the first so many changes on the whole disk (a journal), the first so many of each
 *     folder, or any subset; a rename within a folder is there as a whole or not at all;
 *   - a sector that holds no synced byte may come back as random bytes. A sector that does hold
 * some is written as a whole or not at all: where a disk does not even promise that, no program
 * that appends to a file can keep what it synced there.
 *
 * Errors:
 *   - EIO of single reads, writes, fsyncs and name changes, by chance or the n-th from now. A write
 *     that fails may have written its first bytes. A failed fsync, as on Linux, leaves the pages in
 *     the cache, clean: a later fsync succeeds and does not write them; they read back until they
 *     are evicted (at some later time, at the latest when the process ends, unless keeps_dropped
 *     is set), then the old ones appear.
 *   - A dead disk: every write and fsync fails from now on, until the process is started again.
 *   - ENOSPC: a capacity that may be changed at any time. A write that does not fit writes what
 * does. Removed files give their space back when the last handle is closed.
 *   - Slowness: an fsync takes a time drawn from a range, now and then a long one.
 *   - Decay: a bit of a file at rest flips (sim_disk_corrupt).
 * Not modelled: misdirected writes, a disk that forgets what it reported as synced. But the disk
 * can be told to lie about fsync (struct sim_disk_lies): the checkers must notice, which is their
 * test. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "base/prng.h"
#include "runtime/io.h"
#include "sim/sim_clock.h"

enum { SIM_PAGE = 4096, SIM_SECTOR = 512, SIM_SECTORS = SIM_PAGE / SIM_SECTOR };

/* Chances are per call, in parts per million. */
struct sim_disk_faults {
    uint32_t read_eio_ppm;
    uint32_t write_eio_ppm;
    uint32_t fsync_eio_ppm;
    uint32_t name_eio_ppm;
    uint64_t read_eio_in; /* the n-th such call from now fails, once; 0: none */
    uint64_t write_eio_in;
    uint64_t fsync_eio_in;
    bool dead;              /* every write, fsync and name change fails */
    uint32_t writeback_ppm; /* per write: some of the file's dirty pages reach the platters */
    uint32_t journal_ppm;   /* per name change: the oldest changes reach the platters */
    uint32_t evict_ppm;     /* per read: pages dropped by a failed fsync show their old bytes */
    uint32_t cold_ppm;      /* per question: the bytes are not resident */
    uint32_t fsync_us_min;
    uint32_t fsync_us_max;
    uint32_t stall_ppm; /* per fsync: it takes stall_us */
    uint32_t stall_us;
};

/* Deliberate breaches, for the tests of the checkers. */
struct sim_disk_lies {
    bool fsync;     /* says done and writes nothing */
    bool fsync_dir; /* the same for names */
    bool kill;      /* a killed process loses the page cache too */
    bool tear;      /* sectors with synced bytes may be garbled by a power loss */
};

struct sim_disk_stats {
    uint64_t reads;
    uint64_t writes;
    uint64_t fsyncs;
    uint64_t names; /* name changes */
    uint64_t eio;
    uint64_t nospace;
    uint64_t kills;
    uint64_t power_losses;
    uint64_t sectors_kept; /* unsynced, by power losses */
    uint64_t sectors_lost;
    uint64_t sectors_garbled;
    uint64_t names_kept;
    uint64_t names_lost;
};

struct sim_inode;
struct sim_name_op;
struct sim_sync;

struct sim_dirent {
    char *name;
    struct sim_inode *inode;
};

/* The names of a folder, sorted. */
struct sim_names {
    struct sim_dirent *v;
    size_t n;
    size_t cap;
};

struct sim_block {
    uint32_t refs; /* shared by both contents and by fsyncs under way: copied before a change */
    uint8_t data[SIM_PAGE];
};

struct sim_page {
    struct sim_block *now;  /* NULL: a hole */
    struct sim_block *disk; /* NULL: zeros */
    uint64_t disk_seq;      /* which fsync put it there */
    bool dirty;             /* now differs from disk and will be written */
    bool dropped;           /* a failed fsync gave it up: now differs and will not be written */
};

struct sim_inode {
    struct list node; /* in the disk's list */
    struct sim_disk *disk;
    uint64_t id;
    bool is_dir;
    uint32_t names_now;  /* names that lead here, as the kernel shows them */
    uint32_t names_disk; /* on the platters, and in changes not yet there */
    uint32_t handles;
    int64_t mtime_ms;
    /* file */
    struct sim_page *pages;
    size_t npages;
    uint64_t size;
    uint64_t size_disk;
    uint64_t size_low;  /* the smallest since the last sync: an unsynced cut down to there */
    uint64_t size_seq;  /* the sync that size_disk is of */
    struct list syncs;  /* under way */
    const void *locker; /* the open file that holds its lock, or NULL */
    /* folder */
    struct sim_names now;
    struct sim_names disk_names;
};

struct sim_disk {
    struct sim_clock *clock;
    struct prng rng;
    struct sim_disk_faults faults;
    struct sim_disk_lies lies;
    bool keeps_dropped; /* what a failed fsync gave up outlives the process in the cache */
    struct sim_disk_stats stats;
    uint64_t capacity; /* bytes */
    uint64_t used;     /* bytes of pages that the kernel shows */
    uint64_t next_id;
    uint64_t sync_seq;
    struct list inodes;
    struct list name_ops; /* struct sim_name_op: not on the platters yet, oldest first */
    struct sim_inode *root;
    /* NULL, or told of every write before it happens */
    void (*on_write)(struct sim_inode *ino, const struct iovec *iov, int iovcnt, uint64_t off);
    int64_t (*wall_ms)(void *ctx); /* for mtime */
    void *wall_ctx;
};

struct sim_disk *sim_disk_new(struct sim_clock *clock, uint64_t seed, uint64_t capacity);
void sim_disk_free(struct sim_disk *d);
struct sim_disk_faults sim_disk_no_faults(void); /* and a little delay */

/* ---- names: sim_names.c ---- */

int sim_disk_open(struct sim_disk *d, const char *path, unsigned flags, struct sim_inode **out);
int sim_disk_stat(struct sim_disk *d, const char *path, struct io_stat *out);
/* A number that no other file or folder has; 0: there is none. A look from outside: no faults. */
uint64_t sim_disk_id(struct sim_disk *d, const char *path);
int sim_disk_rename(struct sim_disk *d, const char *from, const char *to);
int sim_disk_unlink(struct sim_disk *d, const char *path);
int sim_disk_mkdir(struct sim_disk *d, const char *path);
int sim_disk_rmdir(struct sim_disk *d, const char *path);
int sim_disk_fsync_dir(struct sim_disk *d, const char *path);
int sim_disk_sync_fs(struct sim_disk *d, const char *path); /* everything */
int sim_disk_list(struct sim_disk *d, const char *path,
                  void (*each)(void *ctx, const struct io_dirent *e), void *ctx);
/* Used by sim_disk.c. */
void sim_names_init(struct sim_disk *d);
void sim_names_power_loss(struct sim_disk *d);
void sim_names_free(struct sim_disk *d);
void sim_inode_unref(struct sim_inode *ino); /* frees it when nothing leads to it any more */
struct sim_inode *sim_inode_new(struct sim_disk *d, bool is_dir);

/* ---- files ---- */

int64_t sim_disk_read(struct sim_inode *ino, const struct iovec *iov, int iovcnt, uint64_t off);
/* Bytes or an error; after ERR_NOSPACE and ERR_IO the first bytes may have been written. limit: at
 * most so many bytes are written, as if the process had ended there. */
int64_t sim_disk_write(struct sim_inode *ino, const struct iovec *iov, int iovcnt, uint64_t off,
                       uint64_t limit);
int sim_disk_truncate(struct sim_inode *ino, uint64_t size);
int sim_disk_allocate(struct sim_inode *ino, uint64_t size);
int sim_disk_fsync(struct sim_inode *ino);
/* An fsync in two steps: what is dirty now reaches the platters in the second. */
struct sim_sync *sim_disk_sync_begin(struct sim_inode *ino);
int sim_disk_sync_end(struct sim_sync *s);
void sim_disk_sync_drop(struct sim_sync *s); /* never happened */
int64_t sim_disk_fsync_delay(struct sim_disk *d);
bool sim_disk_resident(struct sim_inode *ino);
void sim_disk_writeback(struct sim_inode *ino); /* some dirty pages, by chance */
void sim_disk_forget(struct sim_inode *ino);    /* what a failed fsync gave up is evicted now */
void sim_disk_close(struct sim_inode *ino);     /* a handle less */

/* ---- the end of processes and power; all handles must be closed and syncs dropped before ---- */

void sim_disk_closed(struct sim_disk *d); /* an orderly end */
void sim_disk_killed(struct sim_disk *d);
void sim_disk_power_loss(struct sim_disk *d);
/* Flips one bit of the file, on the platters and in the cache. ERR_NOTFOUND, ERR_RANGE. */
int sim_disk_corrupt(struct sim_disk *d, const char *path, uint64_t byte, unsigned bit);

#endif
