/* The bare minimum that a server of heartbeats does: a loop that receives, answers "no error" to
 * every frame and sends, with no idea of groups. What it costs is what packets and wake-ups cost.
 *
 * Usage: bare PORT (of 127.0.0.1; until it is killed) */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 65536, EVENTS = 64, ANSWER = 16 };

struct peer {
    int fd;
    size_t n;
    uint8_t in[ROOM];
};

static void watch(int ep, int fd, struct peer *p)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev)) {
        perror("epoll_ctl");
        exit(2);
    }
}

static void take_peer(int ep, int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    struct peer *p = calloc(1, sizeof *p);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    p->fd = fd;
    watch(ep, fd, p);
}

/* Heartbeat version 4: the correlation id, no tags, throttle time, error code, no tags. */
static void serve(struct peer *p)
{
    uint8_t out[ROOM];
    size_t at = 0, w = 0;
    ssize_t got = recv(p->fd, p->in + p->n, sizeof p->in - p->n, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            close(p->fd);
            free(p);
        }
        return;
    }
    p->n += (size_t)got;
    while (p->n - at >= 12 && w + ANSWER <= sizeof out) {
        uint32_t len;
        memcpy(&len, p->in + at, 4);
        len = ntohl(len);
        if (p->n - at < 4 + (size_t)len) {
            break;
        }
        memset(out + w, 0, ANSWER);
        out[w + 3] = ANSWER - 4;
        memcpy(out + w + 4, p->in + at + 8, 4);
        w += ANSWER;
        at += 4 + (size_t)len;
    }
    memmove(p->in, p->in + at, p->n - at);
    p->n -= at;
    if (w > 0 && send(p->fd, out, w, MSG_NOSIGNAL) != (ssize_t)w) {
        perror("send");
    }
}

int main(int argc, char **argv)
{
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), ep = epoll_create1(0);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 0)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(listener, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); /* as Millrace on the loopback */
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 1024)) {
        perror("listen");
        return 2;
    }
    watch(ep, listener, NULL);
    for (;;) {
        struct epoll_event ev[EVENTS];
        int n = epoll_wait(ep, ev, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.ptr == NULL) {
                take_peer(ep, listener);
            } else {
                serve(ev[i].data.ptr);
            }
        }
    }
}
