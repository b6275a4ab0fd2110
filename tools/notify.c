#include "tools/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 1024 };

/* A name that begins with @ stands for one in the abstract namespace, where a zero is in its place.
 * Its length; 0: it names no such socket. */
static socklen_t address(const char *name, struct sockaddr_un *a)
{
    size_t n = name ? strlen(name) : 0;
    if (n < 2 || n >= sizeof a->sun_path || (name[0] != '/' && name[0] != '@')) {
        return 0;
    }
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(a->sun_path, name, n);
    if (name[0] == '@') {
        a->sun_path[0] = '\0';
    }
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
}

void notify_status(const char *fmt, ...)
{
    struct sockaddr_un a;
    socklen_t len = address(getenv("NOTIFY_SOCKET"), &a);
    int fd = len ? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
    if (fd < 0) {
        return;
    }
    char line[LINE_MAX_BYTES] = "STATUS=";
    size_t n = strlen(line);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + n, sizeof line - n, fmt, ap);
    va_end(ap);
    /* Never waits: a manager that is busy shows the line before. */
    (void)sendto(fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&a, len);
    close(fd);
}
