/* What a service manager is told: one datagram, by a path or an abstract name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "tools/notify.h"

/* A manager's socket under this name, which NOTIFY_SOCKET gets. */
static int manager(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    memcpy(a.sun_path, name, n);
    if (name[0] == '@') {
        a.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static void expect(int fd, const char *text)
{
    char got[4096];
    ssize_t n = recv(fd, got, sizeof got - 1, MSG_DONTWAIT);
    assert_true(n > 0);
    got[n] = '\0';
    assert_string_equal(got, text);
}

static void expect_no_more(int fd)
{
    char c;
    assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
}

static void a_line_is_one_datagram(void **state)
{
    char dir[] = "/tmp/test_notify.XXXXXX", path[64], abstract[65];
    const char *const names[] = {path, abstract};
    UNUSED(state);
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/socket", dir);
    snprintf(abstract, sizeof abstract, "@%s", path);
    for (int i = 0; i < 2; i++) {
        int fd = manager(names[i]);
        notify_status("node %d is ready", 7);
        expect(fd, "STATUS=node 7 is ready");
        expect_no_more(fd);
        close(fd);
    }
    unlink(path);
    rmdir(dir);
}

static void a_long_line_is_cut(void **state)
{
    char name[64], text[3000], want[1024] = "STATUS=";
    UNUSED(state);
    snprintf(name, sizeof name, "@test_notify.%d", (int)getpid());
    int fd = manager(name);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(want + 7, 'x', sizeof want - 8);
    notify_status("%s", text);
    expect(fd, want);
    expect_no_more(fd);
    close(fd);
}

/* A manager that does not read, one that is gone, none, and names that are none. */
static void nobody_is_waited_for(void **state)
{
    char name[64], longest[300];
    UNUSED(state);
    snprintf(name, sizeof name, "@test_notify.%d", (int)getpid());
    int fd = manager(name);
    for (int i = 0; i < 10000; i++) {
        notify_status("%d", i);
    }
    expect(fd, "STATUS=0");
    close(fd);
    notify_status("to nobody");
    memset(longest, 'a', sizeof longest - 1);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    const char *const wrong[] = {"", "/", "relative", "vsock:2:1", longest};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", wrong[i], 1), 0);
        notify_status("to nobody");
    }
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    notify_status("to nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_datagram),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(nobody_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
