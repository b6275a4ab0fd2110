/* The socket half of io_posix.h, and time. The file half is io_posix_file.c. */
#include "runtime/io_posix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/assert.h"
#include "runtime/limits.h"

enum {
    LISTEN_BACKLOG = 1024,
    LISTEN_TRIES = 50, /* of a port in use: 2 s in all */
    LISTEN_RETRY_MS = 40,
    SENDV_IOV_MAX = 1024,
};

static int sock_fd(struct io_sock *s)
{
    return ((struct posix_sock *)s)->fd;
}

int posix_err(int errnum)
{
    if (errnum == EOPNOTSUPP || errnum == ENOSYS) {
        return ERR_UNSUPPORTED;
    }
    return err_from_errno(errnum);
}

void posix_block_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

int64_t posix_now_us(struct io *io)
{
    struct timespec ts;
    UNUSED(io);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t posix_wall_ms(struct io *io)
{
    struct timespec ts;
    UNUSED(io);
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void posix_random(struct io *io, void *out, size_t n)
{
    uint8_t *p = out;
    UNUSED(io);
    while (n > 0) {
        ssize_t r = getrandom(p, n, 0);
        ASSERT(r > 0 || errno == EINTR);
        if (r > 0) {
            p += r;
            n -= (size_t)r;
        }
    }
}

static bool is_loopback(const struct sockaddr *sa)
{
    const struct sockaddr_in *in4 = (const void *)sa;
    const struct sockaddr_in6 *in6 = (const void *)sa;
    if (sa->sa_family == AF_INET) {
        return ntohl(in4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return sa->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

/* Where BBR is the system's congestion control, every connection is paced: a timer holds each
 * segment back to the rate that BBR has estimated. Through the loopback there is no bottleneck to
 * estimate; there the timers cost several times what moving the bytes does (docs/PERFORMANCE.md),
 * so such sockets take the control that every system has and that does not pace. It has to be
 * asked for before the connection is made: once paced, a socket stays so. Connections of a listener
 * have what the listener has. Refused: they are paced as before. */
static void unpace_loopback(int fd, const struct sockaddr *sa)
{
    char name[16] = "";
    socklen_t n = sizeof name - 1;
    if (is_loopback(sa) && getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &n) == 0 &&
        strncmp(name, "bbr", 3) == 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    }
}

static int listen_one(const struct sockaddr *sa, socklen_t len, int *out)
{
    int on = 1, off = 0, err;
    int fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return posix_err(errno);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        bool any = memcmp(&in6->sin6_addr, &in6addr_any, sizeof in6addr_any) == 0;
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &off : &on, sizeof on);
    }
    unpace_loopback(fd, sa);
    if (bind(fd, sa, len) < 0 || listen(fd, LISTEN_BACKLOG) < 0) {
        err = errno == EADDRNOTAVAIL ? ERR_NOTFOUND : posix_err(errno);
        close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

/* Every address of the machine: one IPv6 socket that takes IPv4 too; IPv4 alone where there is no
 * IPv6. */
static int listen_any(uint16_t port, int *fd)
{
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT, .sin6_port = htons(port)};
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    int err = listen_one((const struct sockaddr *)&in6, sizeof in6, fd);
    if (err == 0 || err == ERR_INUSE || err == ERR_PERM || err == ERR_MFILE) {
        return err;
    }
    in4.sin_addr.s_addr = htonl(INADDR_ANY);
    return listen_one((const struct sockaddr *)&in4, sizeof in4, fd);
}

static int listen_host(const char *host, uint16_t port, int *fd)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *all, *ai;
    char service[8];
    int err = ERR_NOTFOUND;
    if (host[0] == '\0') {
        return listen_any(port, fd);
    }
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &all) != 0) {
        return ERR_NOTFOUND;
    }
    for (ai = all; ai != NULL; ai = ai->ai_next) {
        err = listen_one(ai->ai_addr, ai->ai_addrlen, fd);
        if (err == 0) {
            break;
        }
    }
    freeaddrinfo(all);
    return err;
}

/* A process that is killed leaves its sockets to its ring, which the kernel ends from a work queue
 * a moment after the process is gone: the port is then in use by nobody. Whoever starts a node
 * again at once must not fail by that, so a port in use is asked for again for a while. */
int posix_listen_fd(const char *host, uint16_t port, int *fd)
{
    int err = listen_host(host, port, fd);
    for (int i = 0; err == ERR_INUSE && i < LISTEN_TRIES; i++) {
        poll(NULL, 0, LISTEN_RETRY_MS);
        err = listen_host(host, port, fd);
    }
    return err;
}

/* What can be wrong with one waiting connection is not the listener's trouble: the next one is
 * taken (accept(2), "Error handling"). */
static bool accept_skip(int errnum)
{
    return errnum == EINTR || errnum == ECONNABORTED || errnum == EPROTO || errnum == ENETDOWN ||
           errnum == ENOPROTOOPT || errnum == EHOSTDOWN || errnum == ENONET ||
           errnum == EHOSTUNREACH || errnum == EOPNOTSUPP || errnum == ENETUNREACH ||
           errnum == EPERM;
}

/* A new descriptor has the lowest free number, which so tells how many are in use. */
static bool may_accept(struct io_sock *l)
{
    int fd = fcntl(sock_fd(l), F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    close(fd);
    return fd < limits_accept_below();
}

int posix_accept(struct io_sock *l, int *handle)
{
    for (;;) {
        int fd;
        if (!may_accept(l)) {
            return ERR_MFILE;
        }
        fd = accept4(sock_fd(l), NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            *handle = fd;
            return 0;
        }
        if (accept_skip(errno)) {
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            return ERR_MFILE;
        }
        return posix_err(errno);
    }
}

void posix_adopt_fd(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

int posix_connect_fd(const char *ip, uint16_t port, int *out)
{
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool v4 = inet_pton(AF_INET, ip, &in4.sin_addr) == 1;
    int fd, r, err;
    if (!v4 && inet_pton(AF_INET6, ip, &in6.sin6_addr) != 1) {
        return ERR_INVALID;
    }
    fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return posix_err(errno);
    }
    posix_adopt_fd(fd);
    unpace_loopback(fd, v4 ? (const struct sockaddr *)&in4 : (const struct sockaddr *)&in6);
    r = v4 ? connect(fd, (const struct sockaddr *)&in4, sizeof in4)
           : connect(fd, (const struct sockaddr *)&in6, sizeof in6);
    if (r < 0 && errno != EINPROGRESS) {
        err = posix_err(errno);
        close(fd);
        return err;
    }
    *out = fd;
    return 0;
}

int posix_sock_error(struct io_sock *s)
{
    int e = 0;
    socklen_t n = sizeof e;
    if (getsockopt(sock_fd(s), SOL_SOCKET, SO_ERROR, &e, &n) < 0) {
        return posix_err(errno);
    }
    return e ? posix_err(e) : 0;
}

uint16_t posix_sock_port(struct io_sock *s)
{
    struct sockaddr_storage ss;
    socklen_t n = sizeof ss;
    if (getsockname(sock_fd(s), (struct sockaddr *)&ss, &n) < 0) {
        return 0;
    }
    /* sin_port and sin6_port lie at the same place */
    return ntohs(((struct sockaddr_in *)(void *)&ss)->sin_port);
}

void posix_handle_peer(struct io *io, int handle, char *out, size_t n)
{
    struct sockaddr_storage ss;
    struct sockaddr_in6 *in6 = (void *)&ss;
    struct sockaddr_in *in4 = (void *)&ss;
    socklen_t len = sizeof ss;
    UNUSED(io);
    ASSERT(n > 0);
    out[0] = '\0';
    if (getpeername(handle, (struct sockaddr *)&ss, &len) < 0) {
        return;
    }
    if (ss.ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &in4->sin_addr, out, (socklen_t)n);
    } else if (ss.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        (void)inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], out, (socklen_t)n);
    } else if (ss.ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, out, (socklen_t)n);
    }
}

void posix_sock_peer(struct io_sock *s, char *out, size_t n)
{
    posix_handle_peer(s->io, sock_fd(s), out, n);
}

int64_t posix_recv(struct io_sock *s, void *p, size_t n)
{
    ssize_t r;
    do {
        r = recv(sock_fd(s), p, n, MSG_DONTWAIT);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? posix_err(errno) : r;
}

int64_t posix_sendv(struct io_sock *s, const struct iovec *iov, int iovcnt, bool more)
{
    struct msghdr mh = {
        .msg_iov = (struct iovec *)(uintptr_t)iov,
        .msg_iovlen = (size_t)(iovcnt < SENDV_IOV_MAX ? iovcnt : SENDV_IOV_MAX),
    };
    ssize_t r;
    more = more || iovcnt > SENDV_IOV_MAX;
    do {
        r = sendmsg(sock_fd(s), &mh, MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    } while (r < 0 && errno == EINTR);
    return r < 0 ? posix_err(errno) : r;
}

int64_t posix_sendfile(struct io_sock *s, struct io_file *f, uint64_t off, size_t n)
{
    off_t o = (off_t)off;
    ssize_t r;
    do {
        r = sendfile(sock_fd(s), posix_file_fd(f), &o, n);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? posix_err(errno) : r;
}

void posix_handle_close(struct io *io, int handle)
{
    UNUSED(io);
    close(handle);
}
