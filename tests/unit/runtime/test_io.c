/* Every backend against the one contract (io_cases.h, io_cases_patient.h). */
#include "io_cases.h"
#include "io_cases_patient.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/io_backends.h"
#include "runtime/io_posix.h"
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

static void assert_unpaced(int fd)
{
    char name[16] = "";
    socklen_t n = sizeof name - 1;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n), 0);
    if (strncmp(name, "bbr", 3) == 0) {
        fail_msg("a socket of the loopback is paced by %s", name);
    }
}

/* Fails only where BBR is the system's congestion control. */
static void test_loopback_is_not_paced(void **state)
{
    struct io *io;
    struct io_sock *l, *s;
    int handle = -1;
    UNUSED(state);
    assert_int_equal(io_create(IO_BACKEND_UV, &io, NULL), 0);
    assert_int_equal(io_listen(io, "127.0.0.1", 0, &l), 0);
    assert_int_equal(io_connect(io, "127.0.0.1", io_sock_port(l), &s), 0);
    while (io_accept(l, &handle) == ERR_AGAIN) {
        io_turn(io, 1000);
    }
    assert_true(handle >= 0);
    assert_unpaced(handle);
    assert_unpaced(((struct posix_sock *)s)->fd);
    io_handle_close(io, handle);
    io_sock_close(s);
    io_sock_close(l);
    io_destroy(io);
}

static void never(struct io_sock *s, unsigned events, void *user)
{
    UNUSED(s);
    UNUSED(events);
    UNUSED(user);
    fail();
}

/* What is adopted may be an epoll descriptor, which no shutdown wakes. Its poll has just been woken
 * for what is no longer there when it is closed: it must end all the same. */
static void close_an_epoll_that_was_woken(enum io_backend backend)
{
    enum { LONG_SECONDS = 20 };
    struct io *io;
    struct io_sock *s;
    uint64_t one = 1;
    int ev = eventfd(0, EFD_NONBLOCK), ep = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLET}, got;
    assert_int_equal(io_create(backend, &io, NULL), 0);
    assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &wanted), 0);
    assert_int_equal(io_sock_adopt(io, dup(ep), &s), 0);
    io_sock_arm(s, IO_READ, never, NULL);
    io_turn(io, 0);
    assert_int_equal(write(ev, &one, sizeof one), sizeof one);
    assert_int_equal(epoll_wait(ep, &got, 1, 0), 1);
    io_sock_close(s);
    alarm(LONG_SECONDS);
    io_destroy(io);
    alarm(0);
    close(ep);
    close(ev);
}

static void test_an_epoll_that_was_woken_closes(void **state)
{
    enum io_backend chosen;
    UNUSED(state);
    if (io_probe(IO_BACKEND_URING, &chosen, NULL) == 0) {
        close_an_epoll_that_was_woken(IO_BACKEND_URING);
    }
    close_an_epoll_that_was_woken(IO_BACKEND_UV);
}

/* The kernel has put their polls' completions off, so each cancelling fails and is tried again;
 * there are more of them than a turn handles. */
static void close_many_that_were_woken(enum io_backend backend)
{
    enum { MANY = 3000, LONG_SECONDS = 20 };
    static struct io_sock *socks[MANY];
    static int fds[MANY];
    struct io *io;
    uint64_t one = 1;
    assert_int_equal(io_create(backend, &io, NULL), 0);
    for (int i = 0; i < MANY; i++) {
        fds[i] = eventfd(0, EFD_NONBLOCK);
        assert_true(fds[i] >= 0);
        assert_int_equal(io_sock_adopt(io, fds[i], &socks[i]), 0);
        io_sock_arm(socks[i], IO_READ, never, NULL);
    }
    io_turn(io, 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(write(fds[i], &one, sizeof one), sizeof one);
    }
    for (int i = 0; i < MANY; i++) {
        io_sock_close(socks[i]);
    }
    alarm(LONG_SECONDS);
    io_destroy(io);
    alarm(0);
}

static void test_many_that_were_woken_close(void **state)
{
    enum { FILES = 4096 };
    enum io_backend chosen;
    struct rlimit was, enough;
    UNUSED(state);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    if (was.rlim_max < FILES) {
        skip();
    }
    enough = (struct rlimit){.rlim_cur = FILES, .rlim_max = was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &enough), 0);
    if (io_probe(IO_BACKEND_URING, &chosen, NULL) == 0) {
        close_many_that_were_woken(IO_BACKEND_URING);
    }
    close_many_that_were_woken(IO_BACKEND_UV);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

enum { NOT_ALLOWED = 77 };

/* In mounts of its own: a process that ends takes them with it. */
static int look_at_two_mounts(const char *a, const char *b)
{
    char first[IO_KERNEL_ID], again[IO_KERNEL_ID], second[IO_KERNEL_ID];
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("a", a, "tmpfs", 0, "size=64k") < 0 || mount("b", b, "tmpfs", 0, "size=64k") < 0) {
        return NOT_ALLOWED;
    }
    return posix_kernel_id(NULL, a, first) != 0 || posix_kernel_id(NULL, a, again) != 0 ||
           posix_kernel_id(NULL, b, second) != 0 || strcmp(first, again) != 0 ||
           strcmp(first, second) == 0;
}

/* A mount that is another one, or of which nobody can tell, does not vouch for what was written. */
static void test_another_mount_keeps_nothing(void **state)
{
    char id[IO_KERNEL_ID], a[] = "/tmp/test_io_a.XXXXXX", b[] = "/tmp/test_io_b.XXXXXX";
    int status = 0;
    UNUSED(state);
    assert_int_equal(posix_kernel_id(NULL, "/proc", id), ERR_UNSUPPORTED);
    assert_true(mkdtemp(a) && mkdtemp(b));
    pid_t child = fork();
    if (child == 0) {
        _exit(look_at_two_mounts(a, b));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    rmdir(a);
    rmdir(b);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NOT_ALLOWED) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* A disk that has taken its first PAGE bytes and can take no others: a block device over a file of
 * a small file system that is full. */
enum { PAGE = 4096, PAGES = 4 };

static int attach(int file, char *device, size_t n)
{
    for (int i = 0; i < 100; i++) { /* another process may be quicker */
        int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
        int number = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);
        close(control);
        snprintf(device, n, "/dev/loop%d", number);
        int fd = number < 0 ? -1 : open(device, O_RDWR | O_CLOEXEC);
        struct loop_config c = {.fd = (uint32_t)file, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
        if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &c) == 0) {
            return fd;
        }
        close(fd);
        if (fd < 0 || errno != EBUSY) {
            break;
        }
    }
    return -1;
}

static int make_bad_disk(const char *dir, char *device, size_t n)
{
    static const char zeros[PAGE];
    char path[64];
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("d", dir, "tmpfs", 0, "size=64k") < 0) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/disk", dir);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    snprintf(path, sizeof path, "%s/filler", dir);
    int filler = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || filler < 0 || ftruncate(file, PAGES * PAGE) < 0 ||
        pwrite(file, zeros, PAGE, 0) != PAGE) {
        return -1;
    }
    while (write(filler, zeros, PAGE) == PAGE) {
    }
    return attach(file, device, n);
}

static int64_t put(struct io_file *f, int page, char c)
{
    char bytes[PAGE];
    memset(bytes, c, sizeof bytes);
    return io_pwrite(f, bytes, sizeof bytes, (uint64_t)page * PAGE);
}

static int shown(struct io_file *f, int page)
{
    char c;
    return io_pread(f, &c, 1, (uint64_t)page * PAGE) == 1 ? c : -1;
}

#define EXPECT(condition)                                                        \
    do {                                                                         \
        if (!(condition)) {                                                      \
            fprintf(stderr, "%s:%d: not: %s\n", __FILE__, __LINE__, #condition); \
            return 1;                                                            \
        }                                                                        \
    } while (0)

/* A process writes, and ends before the kernel has found that the disk does not take it. */
static int lose_a_write(const char *dir)
{
    char device[32];
    struct io *io;
    struct io_file *f, *again;
    int holder = make_bad_disk(dir, device, sizeof device); /* or all pages went with the last */
    if (holder < 0) {
        return NOT_ALLOWED;
    }
    EXPECT(io_create(IO_BACKEND_UV, &io, NULL) == 0);
    EXPECT(io_open(io, device, IO_OPEN_WRITE, &f) == 0);
    EXPECT(put(f, 0, 'a') == PAGE && io_fsync(f) == 0 && io_lost_writes(f) == 0);
    io_forget(f);
    EXPECT(shown(f, 0) == 'a');
    EXPECT(put(f, 0, 'b') == PAGE);
    io_forget(f); /* not flushed: it stays */
    EXPECT(shown(f, 0) == 'b' && io_fsync(f) == 0);
    EXPECT(put(f, 1, 'c') == PAGE);
    io_write_behind(f, 0, 2 * PAGE);
    io_file_close(f);

    EXPECT(io_open(io, device, IO_OPEN_WRITE, &f) == 0);
    EXPECT(io_lost_writes(f) == ERR_IO);
    EXPECT(io_lost_writes(f) == 0);
    EXPECT(io_open(io, device, IO_OPEN_WRITE, &again) == 0);
    EXPECT(io_lost_writes(again) == 0); /* once */
    EXPECT(shown(again, 1) == 'c' && io_fsync(again) == 0);
    io_forget(again);
    EXPECT(shown(again, 0) == 'b' && shown(again, 1) == '\0');
    io_file_close(f);
    io_file_close(again);
    io_destroy(io);
    close(holder);
    return 0;
}

static void test_a_lost_write_is_told_and_forgotten(void **state)
{
    char dir[] = "/tmp/test_io_lost.XXXXXX";
    int status = 0;
    UNUSED(state);
    assert_non_null(mkdtemp(dir));
    pid_t child = fork();
    if (child == 0) {
        _exit(lose_a_write(dir));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    rmdir(dir);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == NOT_ALLOWED) {
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest posix[] = {cmocka_unit_test(test_another_mount_keeps_nothing),
                                       cmocka_unit_test(test_a_lost_write_is_told_and_forgotten),
                                       cmocka_unit_test(test_loopback_is_not_paced),
                                       cmocka_unit_test(test_an_epoll_that_was_woken_closes),
                                       cmocka_unit_test(test_many_that_were_woken_close)};
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
        failed += io_cases_run(&uring) + io_patient_cases_run(&uring);
    } else {
        printf("io_uring is left out: %s\n", why.text);
    }
    failed += io_cases_run(&uv) + io_patient_cases_run(&uv);
    failed += io_cases_run(&sim) + io_patient_cases_run(&sim);
    failed += cmocka_run_group_tests_name("posix", posix, NULL, NULL);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    failed += system(command) != 0;
    return failed;
}
