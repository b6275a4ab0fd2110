/* Which backend is chosen, and what is said about it: with io_uring permitted, and in a child whose
 * seccomp filter refuses one of its system calls as container runtimes do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "runtime/io.h"

struct probed {
    int err;
    enum io_backend chosen;
    struct errmsg why;
    int made; /* what io_create says to AUTO */
    char name[16];
};

static int deny(uint32_t nr, uint32_t errnum)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {sizeof code / sizeof *code, code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return -1;
    }
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static void probe(enum io_backend wanted, struct probed *p)
{
    struct errmsg em;
    struct io *io;
    p->err = io_probe(wanted, &p->chosen, &p->why);
    p->made = io_create(IO_BACKEND_AUTO, &io, &em);
    if (p->made == 0) {
        snprintf(p->name, sizeof p->name, "%s", io->ops->name);
        io_turn(io, 0);
        io_destroy(io);
    }
}

/* Probes in a child to which `nr` is refused with errnum. */
static struct probed probe_denied(enum io_backend wanted, uint32_t nr, uint32_t errnum)
{
    struct probed p = {0};
    int fds[2], status = -1;
    pid_t pid;
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (deny(nr, errnum) < 0) {
            _exit(77);
        }
        probe(wanted, &p);
        _exit(write(fds[1], &p, sizeof p) == (ssize_t)sizeof p ? 0 : 1);
    }
    close(fds[1]);
    assert_true(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        close(fds[0]);
        skip(); /* a kernel without seccomp */
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(read(fds[0], &p, sizeof p), sizeof p);
    close(fds[0]);
    return p;
}

static void expect_libuv(const struct probed *p, const char *reason)
{
    assert_int_equal(p->err, 0);
    assert_int_equal(p->chosen, IO_BACKEND_UV);
    assert_non_null(strstr(p->why.text, reason));
    assert_non_null(strstr(p->why.text, "libuv is used"));
    assert_int_equal(p->made, 0);
    assert_string_equal(p->name, "libuv");
}

static void a_refusal_means_libuv(void **state)
{
    struct probed p = probe_denied(IO_BACKEND_AUTO, SYS_io_uring_setup, EPERM);
    UNUSED(state);
    expect_libuv(&p, "refused here (Operation not permitted: a seccomp filter");
    p = probe_denied(IO_BACKEND_AUTO, SYS_io_uring_setup, ENOSYS);
    expect_libuv(&p, "this kernel has none");
}

/* The ring can be made and does nothing: some filters refuse only the second call. */
static void a_ring_that_does_nothing_means_libuv(void **state)
{
    struct probed p = probe_denied(IO_BACKEND_AUTO, SYS_io_uring_enter, EPERM);
    UNUSED(state);
    expect_libuv(&p, "io_uring");
}

static void what_is_demanded_is_not_replaced(void **state)
{
    struct probed p = probe_denied(IO_BACKEND_URING, SYS_io_uring_setup, EPERM);
    UNUSED(state);
    assert_int_equal(p.err, ERR_UNSUPPORTED);
    assert_non_null(strstr(p.why.text, "refused here"));
    assert_non_null(strstr(p.why.text, "io.backend=io_uring allows no other"));
}

static void what_is_configured_is_used(void **state)
{
    struct probed p = {0};
    UNUSED(state);
    probe(IO_BACKEND_UV, &p);
    assert_int_equal(p.err, 0);
    assert_int_equal(p.chosen, IO_BACKEND_UV);
    assert_non_null(strstr(p.why.text, "libuv is used, as configured"));
    probe(IO_BACKEND_AUTO, &p);
    assert_int_equal(p.err, 0);
    assert_string_equal(p.name, p.chosen == IO_BACKEND_URING ? "io_uring" : "libuv");
    assert_non_null(
        strstr(p.why.text, p.chosen == IO_BACKEND_URING ? "io_uring is used (" : "libuv is used"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refusal_means_libuv),
        cmocka_unit_test(a_ring_that_does_nothing_means_libuv),
        cmocka_unit_test(what_is_demanded_is_not_replaced),
        cmocka_unit_test(what_is_configured_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
