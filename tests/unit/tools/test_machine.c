/* Limits of containers and services, from files as the kernel shows them. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tools/machine.h"

struct root {
    char path[64];
};

static struct root *root_new(void)
{
    struct root *r = calloc(1, sizeof *r);
    snprintf(r->path, sizeof r->path, "/tmp/test_machine.XXXXXX");
    assert_non_null(mkdtemp(r->path));
    return r;
}

/* A file below the root, with the folders above it. */
static void put(const struct root *r, const char *file, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", r->path, file);
    for (char *s = path + strlen(r->path) + 1; (s = strchr(s, '/')) != NULL; s++) {
        *s = '\0';
        mkdir(path, 0755);
        *s = '/';
    }
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void check(struct root *r, uint64_t memory, unsigned processors)
{
    char command[128];
    struct machine_limits l = machine_limits(r->path);
    snprintf(command, sizeof command, "rm -rf %s", r->path);
    assert_int_equal(system(command), 0);
    free(r);
    assert_int_equal(l.memory_bytes, memory);
    assert_int_equal(l.processors, processors);
}

static void none(void **state)
{
    (void)state;
    check(root_new(), UINT64_MAX, UINT_MAX);
    struct root *r = root_new();
    put(r, "proc/self/cgroup", "0::/\n");
    put(r, "sys/fs/cgroup/memory.max", "max\n");
    put(r, "sys/fs/cgroup/cpu.max", "max 100000\n");
    check(r, UINT64_MAX, UINT_MAX);
}

/* The limits of a service and of the slice that it is in: the smallest counts. */
static void version_2(void **state)
{
    (void)state;
    struct root *r = root_new();
    put(r, "proc/self/cgroup", "0::/data.slice/millrace.service\n");
    put(r, "sys/fs/cgroup/data.slice/millrace.service/memory.max", "1073741824\n");
    put(r, "sys/fs/cgroup/data.slice/millrace.service/cpu.max", "350000 100000\n");
    put(r, "sys/fs/cgroup/data.slice/memory.max", "536870912\n");
    put(r, "sys/fs/cgroup/data.slice/cpu.max", "max 100000\n");
    check(r, 536870912, 4);
    r = root_new();
    put(r, "proc/self/cgroup", "0::/\n");
    put(r, "sys/fs/cgroup/memory.max", "268435456\n");
    put(r, "sys/fs/cgroup/cpu.max", "5000 100000\n");
    check(r, 268435456, 1);
}

/* A container that sees the path of the host, but only its own group. */
static void version_1(void **state)
{
    (void)state;
    struct root *r = root_new();
    put(r, "proc/self/cgroup",
        "8:pids:/docker/abc\n4:memory:/docker/abc\n2:cpuset,cpu,cpuacct:/docker/abc\n0::/\n");
    put(r, "sys/fs/cgroup/memory/memory.limit_in_bytes", "402653184\n");
    put(r, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    put(r, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    check(r, 402653184, 2);
    r = root_new();
    put(r, "proc/self/cgroup", "4:memory:/\n1:cpu:/\n");
    put(r, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put(r, "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put(r, "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    check(r, 9223372036854771712ULL, UINT_MAX);
}

static void this_machine(void **state)
{
    (void)state;
    struct machine m;
    machine_look(&m);
    assert_true(m.config.processors >= 1 && m.config.memory_bytes > 0);
    assert_string_not_equal(m.config.hostname, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none),
        cmocka_unit_test(version_2),
        cmocka_unit_test(version_1),
        cmocka_unit_test(this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
