#include "tools/machine.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "tools/text.h"

enum { CGROUP_PATH_MAX = 1024 };

/* ---- cgroups ---- */

/* The first line of a small file. */
static bool read_line(const char *path, char *out, size_t n)
{
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(out, (int)n, f) != NULL;
    if (f) {
        fclose(f);
    }
    return ok;
}

/* The number in a file, UINT64_MAX for `max`, -1 or no such file. */
static uint64_t number_in(const char *path)
{
    char line[64], *end;
    if (!read_line(path, line, sizeof line) || line[0] == '-') {
        return UINT64_MAX;
    }
    uint64_t v = strtoull(line, &end, 10);
    return end == line ? UINT64_MAX : v;
}

/* quota/period, rounded up: what `cpu.max` has in one line and version 1 in two files. */
static unsigned whole_processors(uint64_t quota, uint64_t period)
{
    if (quota == UINT64_MAX || period == UINT64_MAX || period == 0) {
        return UINT_MAX;
    }
    uint64_t n = quota / period + (quota % period != 0);
    return n == 0 ? 1 : n < UINT_MAX ? (unsigned)n : UINT_MAX;
}

static void limit(struct machine_limits *l, uint64_t memory, unsigned processors)
{
    l->memory_bytes = memory < l->memory_bytes ? memory : l->memory_bytes;
    l->processors = processors < l->processors ? processors : l->processors;
}

/* One group of version 2. */
static void look_v2(const char *dir, struct machine_limits *l)
{
    char path[2 * CGROUP_PATH_MAX + 32];
    char line[64];
    unsigned long long quota, period;
    snprintf(path, sizeof path, "%s/memory.max", dir);
    uint64_t memory = number_in(path);
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    bool both =
        read_line(path, line, sizeof line) && sscanf(line, "%llu %llu", &quota, &period) == 2;
    limit(l, memory, both ? whole_processors(quota, period) : UINT_MAX);
}

/* One group of version 1: dir belongs to the memory controller, or to that of processors. */
static void look_v1(const char *dir, struct machine_limits *l)
{
    char path[2 * CGROUP_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/memory.limit_in_bytes", dir);
    uint64_t memory = number_in(path);
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    uint64_t quota = number_in(path);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    limit(l, memory, whole_processors(quota, number_in(path)));
}

/* A group and all above it. In a container the path that the kernel names may be that of the host,
 * of which only the own group is mounted: then only the last step, the mount itself, finds it. */
static void look_upwards(const char *mount, char *group, struct machine_limits *l,
                         void (*look)(const char *dir, struct machine_limits *l))
{
    char dir[2 * CGROUP_PATH_MAX];
    for (;;) {
        snprintf(dir, sizeof dir, "%s%s", mount, group);
        look(dir, l);
        char *slash = strrchr(group, '/');
        if (slash == NULL) {
            return;
        }
        *slash = '\0';
    }
}

struct machine_limits machine_limits(const char *root)
{
    struct machine_limits l = {UINT64_MAX, UINT_MAX};
    char path[CGROUP_PATH_MAX], line[CGROUP_PATH_MAX], mount[CGROUP_PATH_MAX];
    snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        /* NUMBER:CONTROLLER,CONTROLLER:/GROUP; version 2 has no controllers */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL) {
            continue;
        }
        *group++ = '\0';
        controllers++;
        if (*controllers == '\0') {
            snprintf(mount, sizeof mount, "%s/sys/fs/cgroup", root);
            look_upwards(mount, group, &l, look_v2);
        }
        for (int i = 0; i < 2; i++) {
            static const char *const of_v1[] = {"memory", "cpu"};
            if (list_has(controllers, bytes_str(of_v1[i]))) {
                snprintf(mount, sizeof mount, "%s/sys/fs/cgroup/%s", root, of_v1[i]);
                look_upwards(mount, group, &l, look_v1);
            }
        }
    }
    if (f) {
        fclose(f);
    }
    return l;
}

/* ---- the machine ---- */

static unsigned usable_processors(void)
{
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (unsigned)n : 1;
}

void machine_look(struct machine *m)
{
    struct sysinfo si;
    *m = (struct machine){.hostname = "localhost"};
    gethostname(m->hostname, sizeof m->hostname - 1);
    m->config = (struct config_machine){
        .hostname = m->hostname,
        .processors = usable_processors(),
        .memory_bytes = sysinfo(&si) == 0 ? (uint64_t)si.totalram * si.mem_unit : 0,
        .tmp_dir = getenv("TMPDIR"),
    };
    struct machine_limits l = machine_limits("");
    if (l.processors < m->config.processors) {
        m->config.processors = l.processors;
    }
    if (l.memory_bytes < m->config.memory_bytes) {
        m->config.memory_bytes = l.memory_bytes;
    }
}
