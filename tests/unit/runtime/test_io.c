/* Every backend against the one contract (io_cases.h). */
#include "io_cases.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/io_backends.h"
#include "sim/io_sim.h"

static int make_uring(struct io_factory *f, struct io **out)
{
    UNUSED(f);
    return io_create(IO_BACKEND_URING, out, NULL);
}

static int make_uv(struct io_factory *f, struct io **out)
{
    UNUSED(f);
    return io_create(IO_BACKEND_UV, out, NULL);
}

static void chill_real(struct io_factory *f, const char *path)
{
    int fd = open(path, O_RDONLY);
    UNUSED(f);
    assert_true(fd >= 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    close(fd);
}

/* One simulated machine per case; the folder is made by the case's first io. */
static int make_sim(struct io_factory *f, struct io **out)
{
    struct sim *s = sim_new(42);
    struct sim_host *h = sim_host_new(s, 64u << 20);
    struct sim_proc *p = sim_proc_new(h);
    int err = io_sim_make(p, 0, out, NULL);
    s->self_advance = true;
    f->ip = h->ip;
    f->user = s;
    return err ? err : io_mkdir(*out, f->dir);
}

static void done_sim(struct io_factory *f)
{
    struct sim *s = f->user;
    struct sim_host *h = LIST_ENTRY(s->hosts.next, struct sim_host, node);
    struct errmsg why = {""};
    bool clean = sim_proc_end(LIST_ENTRY(h->procs.next, struct sim_proc, node), &why);
    sim_free(s);
    if (!clean) {
        fail_msg("left open: %s", why.text);
    }
}

int main(void)
{
    char dir[] = "/tmp/test_io.XXXXXX", command[64];
    struct io_factory uring = {"io_uring", "127.0.0.1", dir, make_uring, NULL, chill_real, NULL};
    struct io_factory uv = {"libuv", "127.0.0.1", dir, make_uv, NULL, chill_real, NULL};
    struct io_factory sim = {"simulated", NULL, "/data", make_sim, done_sim, NULL, NULL};
    enum io_backend chosen;
    struct errmsg why;
    int failed = 0;
    if (mkdtemp(dir) == NULL) {
        return 1;
    }
    if (io_probe(IO_BACKEND_URING, &chosen, &why) == 0) {
        failed += io_cases_run(&uring);
    } else {
        printf("io_uring is left out: %s\n", why.text);
    }
    failed += io_cases_run(&uv);
    failed += io_cases_run(&sim);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    failed += system(command) != 0;
    return failed;
}
