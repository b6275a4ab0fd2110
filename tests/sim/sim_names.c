/* Folders and names in sim_disk.h's model. A change is made at once in what the kernel shows and
 * waits in one list, oldest first, for its way to the platters: by fsync_dir of its folder, by the
 * journal's own pace, or, in a power loss, by chance. */
#include "sim/sim_disk.h"

#include <string.h>

#include "base/mem.h"

/* A change of a folder that the platters do not have yet: `from` stops leading to the inode, `to`
 * leads to it. One of the two may be NULL; both are a rename within the folder. */
struct sim_name_op {
    struct list node;
    struct sim_inode *dir;
    struct sim_inode *inode;
    char *from;
    char *to;
};

enum { NAME_MAX_LEN = 255 };

/* ---- one sorted table ---- */

static size_t names_find(const struct sim_names *t, const char *name, bool *found)
{
    size_t low = 0;
    size_t high = t->n;
    *found = false;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int c = strcmp(t->v[mid].name, name);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static struct sim_inode *names_get(const struct sim_names *t, const char *name)
{
    bool found;
    size_t i = names_find(t, name, &found);
    return found ? t->v[i].inode : NULL;
}

/* Returns the inode that had the name before. The caller counts. */
static struct sim_inode *names_set(struct sim_names *t, const char *name, struct sim_inode *ino)
{
    bool found;
    size_t i = names_find(t, name, &found);
    if (found) {
        struct sim_inode *old = t->v[i].inode;
        t->v[i].inode = ino;
        return old;
    }
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 8;
        t->v = mem_realloc(t->v, t->cap * sizeof(*t->v));
    }
    memmove(t->v + i + 1, t->v + i, (t->n - i) * sizeof(*t->v));
    t->v[i] = (struct sim_dirent){mem_strdup(name), ino};
    t->n++;
    return NULL;
}

static void names_remove(struct sim_names *t, const char *name)
{
    bool found;
    size_t i = names_find(t, name, &found);
    ASSERT(found);
    mem_free(t->v[i].name);
    t->n--;
    memmove(t->v + i, t->v + i + 1, (t->n - i) * sizeof(*t->v));
}

/* ---- the way to the platters ---- */

static void unref_disk(struct sim_inode *ino)
{
    if (ino != NULL) {
        ASSERT(ino->names_disk > 0);
        ino->names_disk--;
        sim_inode_unref(ino);
    }
}

static void name_op_drop(struct sim_name_op *op)
{
    list_remove(&op->node);
    unref_disk(op->inode);
    unref_disk(op->dir);
    mem_free(op->from);
    mem_free(op->to);
    mem_free(op);
}

static void name_op_commit(struct sim_name_op *op)
{
    struct sim_names *t = &op->dir->disk_names;
    if (op->from != NULL && names_get(t, op->from) == op->inode) {
        names_remove(t, op->from);
        unref_disk(op->inode);
    }
    if (op->to != NULL) {
        op->inode->names_disk++;
        unref_disk(names_set(t, op->to, op->inode));
    }
    name_op_drop(op);
}

static void name_op_add(struct sim_inode *dir, struct sim_inode *ino, const char *from,
                        const char *to)
{
    struct sim_disk *d = dir->disk;
    struct sim_name_op *op = MEM_NEW(struct sim_name_op);
    *op = (struct sim_name_op){.dir = dir,
                               .inode = ino,
                               .from = from ? mem_strdup(from) : NULL,
                               .to = to ? mem_strdup(to) : NULL};
    dir->names_disk++;
    ino->names_disk++;
    list_push_back(&d->name_ops, &op->node);
    dir->mtime_ms = d->wall_ms ? d->wall_ms(d->wall_ctx) : 0;
    if (d->faults.journal_ppm != 0 && prng_below(&d->rng, 1000000) < d->faults.journal_ppm) {
        size_t n = 0;
        list_for_each (it, &d->name_ops) {
            n++;
        }
        for (uint64_t k = prng_below(&d->rng, n + 1); k > 0; k--) {
            name_op_commit(LIST_ENTRY(d->name_ops.next, struct sim_name_op, node));
        }
    }
}

/* ---- paths ---- */

/* The folder of the last name of path, and that name; "." parts and double slashes mean nothing.
 * A path without a name (the root) gives an empty one. */
static int walk(struct sim_disk *d, const char *path, struct sim_inode **dir,
                char name[NAME_MAX_LEN + 1])
{
    *dir = d->root;
    name[0] = 0;
    while (*path) {
        size_t n = strcspn(path, "/");
        if (n > NAME_MAX_LEN) {
            return ERR_INVALID;
        }
        if (n != 0 && !(n == 1 && path[0] == '.')) {
            if (name[0] != 0) {
                struct sim_inode *next = names_get(&(*dir)->now, name);
                if (next == NULL || !next->is_dir) {
                    return ERR_NOTFOUND;
                }
                *dir = next;
            }
            memcpy(name, path, n);
            name[n] = 0;
        }
        path += n;
        path += *path == '/';
    }
    return 0;
}

static int find(struct sim_disk *d, const char *path, struct sim_inode **out)
{
    struct sim_inode *dir;
    char name[NAME_MAX_LEN + 1];
    int err = walk(d, path, &dir, name);
    if (err != 0) {
        return err;
    }
    *out = name[0] ? names_get(&dir->now, name) : dir;
    return *out ? 0 : ERR_NOTFOUND;
}

uint64_t sim_disk_id(struct sim_disk *d, const char *path)
{
    struct sim_inode *ino;
    return find(d, path, &ino) == 0 ? ino->id : 0;
}

static int name_fault(struct sim_disk *d)
{
    d->stats.names++;
    if (d->faults.dead ||
        (d->faults.name_eio_ppm != 0 && prng_below(&d->rng, 1000000) < d->faults.name_eio_ppm)) {
        d->stats.eio++;
        return ERR_IO;
    }
    return 0;
}

/* A new name needs a little room; on a full disk it is the folder's turn to be full or not. */
static int name_space(struct sim_disk *d)
{
    if (d->used + SIM_PAGE > d->capacity && prng_below(&d->rng, 2)) {
        d->stats.nospace++;
        return ERR_NOSPACE;
    }
    return 0;
}

static int make(struct sim_disk *d, struct sim_inode *dir, const char *name, bool is_dir,
                struct sim_inode **out)
{
    int err = name_fault(d);
    err = err ? err : name_space(d);
    if (err != 0) {
        return err;
    }
    struct sim_inode *ino = sim_inode_new(d, is_dir);
    ino->names_now = 1;
    names_set(&dir->now, name, ino);
    name_op_add(dir, ino, NULL, name);
    *out = ino;
    return 0;
}

int sim_disk_open(struct sim_disk *d, const char *path, unsigned flags, struct sim_inode **out)
{
    struct sim_inode *dir;
    struct sim_inode *ino;
    char name[NAME_MAX_LEN + 1];
    int err = walk(d, path, &dir, name);
    if (err != 0) {
        return err;
    }
    ino = name[0] ? names_get(&dir->now, name) : dir;
    if (ino != NULL && ino->is_dir) {
        return ERR_IO; /* EISDIR */
    }
    if (ino != NULL && (flags & IO_OPEN_CREATE) && (flags & IO_OPEN_EXCL)) {
        return ERR_EXISTS;
    }
    if (ino == NULL && !(flags & IO_OPEN_CREATE)) {
        return ERR_NOTFOUND;
    }
    if (ino == NULL) {
        err = make(d, dir, name, false, &ino);
    } else if ((flags & IO_OPEN_TRUNC) && ino->size > 0) {
        err = sim_disk_truncate(ino, 0);
    }
    if (err != 0) {
        return err;
    }
    ino->handles++;
    *out = ino;
    return 0;
}

int sim_disk_stat(struct sim_disk *d, const char *path, struct io_stat *out)
{
    struct sim_inode *ino;
    int err = find(d, path, &ino);
    if (err == 0) {
        *out =
            (struct io_stat){.size = ino->size, .mtime_ms = ino->mtime_ms, .is_dir = ino->is_dir};
    }
    return err;
}

static void unref_now(struct sim_inode *ino)
{
    ASSERT(ino->names_now > 0);
    ino->names_now--;
    sim_inode_unref(ino);
}

static bool is_inside(const struct sim_inode *dir, const struct sim_inode *ino)
{
    if (dir == ino) {
        return true;
    }
    for (size_t i = 0; ino->is_dir && i < ino->now.n; i++) {
        if (is_inside(dir, ino->now.v[i].inode)) {
            return true;
        }
    }
    return false;
}

int sim_disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    struct sim_inode *dir[2];
    char name[2][NAME_MAX_LEN + 1];
    int err = walk(d, from, &dir[0], name[0]);
    err = err ? err : walk(d, to, &dir[1], name[1]);
    if (err != 0) {
        return err;
    }
    struct sim_inode *ino = names_get(&dir[0]->now, name[0]);
    if (name[0][0] == 0 || ino == NULL) {
        return ERR_NOTFOUND;
    }
    struct sim_inode *old = names_get(&dir[1]->now, name[1]);
    if (old == ino) {
        return 0;
    }
    if (name[1][0] == 0 || is_inside(dir[1], ino)) {
        return ERR_INVALID;
    }
    if (old != NULL && (old->is_dir != ino->is_dir || old->now.n > 0)) {
        return ERR_EXISTS;
    }
    err = name_fault(d);
    if (err != 0) {
        return err;
    }
    names_remove(&dir[0]->now, name[0]);
    names_set(&dir[1]->now, name[1], ino);
    if (dir[0] == dir[1]) {
        name_op_add(dir[0], ino, name[0], name[1]);
    } else {
        name_op_add(dir[1], ino, NULL, name[1]);
        name_op_add(dir[0], ino, name[0], NULL);
    }
    if (old != NULL) {
        unref_now(old);
    }
    return 0;
}

static int remove_name(struct sim_disk *d, const char *path, bool want_dir)
{
    struct sim_inode *dir;
    char name[NAME_MAX_LEN + 1];
    int err = walk(d, path, &dir, name);
    if (err != 0) {
        return err;
    }
    struct sim_inode *ino = name[0] ? names_get(&dir->now, name) : NULL;
    if (ino == NULL) {
        return ERR_NOTFOUND;
    }
    if (ino->is_dir != want_dir) {
        return ERR_INVALID;
    }
    if (ino->now.n > 0) {
        return ERR_EXISTS; /* ENOTEMPTY */
    }
    err = name_fault(d);
    if (err != 0) {
        return err;
    }
    names_remove(&dir->now, name);
    name_op_add(dir, ino, name, NULL);
    unref_now(ino);
    return 0;
}

int sim_disk_unlink(struct sim_disk *d, const char *path)
{
    return remove_name(d, path, false);
}

int sim_disk_rmdir(struct sim_disk *d, const char *path)
{
    return remove_name(d, path, true);
}

int sim_disk_mkdir(struct sim_disk *d, const char *path)
{
    struct sim_inode *dir;
    struct sim_inode *ino;
    char name[NAME_MAX_LEN + 1];
    int err = walk(d, path, &dir, name);
    if (err != 0) {
        return err;
    }
    if (name[0] == 0 || names_get(&dir->now, name) != NULL) {
        return ERR_EXISTS;
    }
    return make(d, dir, name, true, &ino);
}

static bool sync_fault(struct sim_disk *d)
{
    if (d->faults.dead ||
        (d->faults.fsync_eio_ppm && prng_below(&d->rng, 1000000) < d->faults.fsync_eio_ppm)) {
        d->stats.eio++;
        return true;
    }
    return false;
}

/* The changes of one folder, or of all. */
static void commit_names(struct sim_disk *d, const struct sim_inode *dir)
{
    if (d->lies.fsync_dir) {
        return;
    }
    list_for_each_safe (it, &d->name_ops) {
        struct sim_name_op *op = LIST_ENTRY(it, struct sim_name_op, node);
        if (dir == NULL || op->dir == dir) {
            name_op_commit(op);
        }
    }
}

int sim_disk_fsync_dir(struct sim_disk *d, const char *path)
{
    struct sim_inode *dir;
    int err = find(d, path, &dir);
    if (err != 0) {
        return err;
    }
    if (!dir->is_dir) {
        return ERR_INVALID;
    }
    d->stats.fsyncs++;
    if (sync_fault(d)) {
        return ERR_IO;
    }
    commit_names(d, dir);
    return 0;
}

int sim_disk_sync_fs(struct sim_disk *d, const char *path)
{
    struct sim_inode *dir;
    int err = find(d, path, &dir);
    if (err != 0 || !dir->is_dir) {
        return err ? err : ERR_INVALID;
    }
    d->stats.fsyncs++;
    list_for_each (it, &d->inodes) {
        struct sim_inode *ino = LIST_ENTRY(it, struct sim_inode, node);
        bool gone = ino->names_now == 0 && ino->handles == 0;
        int rc = ino->is_dir || gone ? 0 : sim_disk_fsync(ino);
        err = err ? err : rc;
    }
    if (err != 0 || sync_fault(d)) {
        return ERR_IO;
    }
    commit_names(d, NULL);
    return 0;
}

int sim_disk_list(struct sim_disk *d, const char *path,
                  void (*each)(void *ctx, const struct io_dirent *e), void *ctx)
{
    struct sim_inode *dir;
    int err = find(d, path, &dir);
    if (err != 0) {
        return err;
    }
    if (!dir->is_dir) {
        return ERR_INVALID;
    }
    /* A copy: each() may change the folder. */
    size_t n = dir->now.n;
    struct io_dirent *v = mem_zalloc((n + 1) * sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct io_dirent){mem_strdup(dir->now.v[i].name), dir->now.v[i].inode->is_dir};
    }
    for (size_t i = 0; i < n; i++) {
        each(ctx, &v[i]);
        mem_free((void *)(uintptr_t)v[i].name);
    }
    mem_free(v);
    return 0;
}

/* ---- power loss ---- */

/* A folder whose changes end here, in the mode where each folder has its own end. */
struct cut {
    const struct sim_inode *dir;
    uint64_t left;
};

static bool op_survives(struct sim_disk *d, unsigned mode, struct cut *cuts, size_t *n,
                        const struct sim_name_op *op)
{
    if (mode == 2) { /* any subset */
        return prng_below(&d->rng, 2);
    }
    size_t i = 0; /* mode 0: one end for all */
    if (mode == 1) {
        while (i < *n && cuts[i].dir != op->dir) {
            i++;
        }
    }
    if (i == *n) {
        cuts[(*n)++] = (struct cut){op->dir, prng_below(&d->rng, 8)};
    }
    if (cuts[i].left == 0) {
        return false;
    }
    cuts[i].left--;
    return true;
}

/* What the kernel shows after the restart is what the platters hold, below dir. */
static void restore(struct sim_inode *dir)
{
    for (size_t i = 0; i < dir->disk_names.n; i++) {
        struct sim_inode *ino = dir->disk_names.v[i].inode;
        names_set(&dir->now, dir->disk_names.v[i].name, ino);
        ino->names_now++;
        if (ino->is_dir && ino->names_now == 1) {
            restore(ino);
        }
    }
}

void sim_names_power_loss(struct sim_disk *d)
{
    size_t ops = 0;
    list_for_each (it, &d->name_ops) {
        ops++;
    }
    static const unsigned modes[] = {0, 0, 0, 0, 0, 1, 1, 1, 2, 3};
    unsigned mode = modes[prng_below(&d->rng, ARRAY_LEN(modes))];
    struct cut *cuts = mem_alloc((ops + 1) * sizeof(*cuts));
    size_t n = 0;
    if (mode == 0) {
        cuts[n++] = (struct cut){NULL, prng_below(&d->rng, ops + 1)};
    }
    list_for_each_safe (it, &d->name_ops) {
        struct sim_name_op *op = LIST_ENTRY(it, struct sim_name_op, node);
        if (mode != 3 && op_survives(d, mode, cuts, &n, op)) {
            d->stats.names_kept++;
            name_op_commit(op);
        } else {
            d->stats.names_lost++;
            name_op_drop(op);
        }
    }
    mem_free(cuts);

    /* Hold every inode while the shown names are made anew; what nothing leads to then goes. */
    list_for_each (it, &d->inodes) {
        struct sim_inode *ino = LIST_ENTRY(it, struct sim_inode, node);
        for (size_t i = 0; i < ino->now.n; i++) {
            mem_free(ino->now.v[i].name);
        }
        ino->now.n = 0;
        ino->names_now = ino == d->root;
        ino->names_disk += 1;
    }
    restore(d->root);
    /* A folder that nothing leads to any more lets go of what is in it, so repeat to the bottom. */
    list_for_each_safe (it, &d->inodes) {
        struct sim_inode *ino = LIST_ENTRY(it, struct sim_inode, node);
        if (ino->names_now == 0) {
            for (size_t i = 0; i < ino->disk_names.n; i++) {
                ino->disk_names.v[i].inode->names_disk--;
                mem_free(ino->disk_names.v[i].name);
            }
            ino->disk_names.n = 0;
        }
    }
    list_for_each_safe (it, &d->inodes) {
        struct sim_inode *ino = LIST_ENTRY(it, struct sim_inode, node);
        ino->names_disk -= 1;
        sim_inode_unref(ino);
    }
}

void sim_names_init(struct sim_disk *d)
{
    list_init(&d->name_ops);
    d->root = sim_inode_new(d, true);
    d->root->names_now = d->root->names_disk = 1;
}

void sim_names_free(struct sim_disk *d)
{
    list_for_each_safe (it, &d->name_ops) {
        struct sim_name_op *op = LIST_ENTRY(it, struct sim_name_op, node);
        list_remove(&op->node);
        mem_free(op->from);
        mem_free(op->to);
        mem_free(op);
    }
}
