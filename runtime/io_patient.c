#include "runtime/io_patient.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "runtime/io_posix.h"

void patient_free(struct patient_set *p)
{
    ASSERT(p->n == 0);
    if (p->fd >= 0) {
        close(p->fd);
    }
    p->fd = -1;
}

bool patient_add(struct patient_set *p, struct posix_sock *s)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
    if (p->fd < 0) {
        p->fd = epoll_create1(EPOLL_CLOEXEC);
    }
    if (p->fd < 0 || epoll_ctl(p->fd, EPOLL_CTL_ADD, s->fd, &ev) != 0) {
        return false;
    }
    p->n++;
    return true;
}

void patient_remove(struct patient_set *p, struct posix_sock *s)
{
    int r = epoll_ctl(p->fd, EPOLL_CTL_DEL, s->fd, NULL);
    ASSERT(r == 0 && p->n > 0);
    p->n--;
    for (int i = 0; i < p->found_n; i++) {
        if (p->found[i] == s) {
            p->found[i] = NULL;
        }
    }
}

int64_t patient_wait(const struct patient_set *p, int64_t timeout_us)
{
    if (p->look_us == 0) {
        return timeout_us;
    }
    int64_t left = p->look_us - posix_now_us(NULL);
    left = left < 0 ? 0 : left;
    return timeout_us < 0 || left < timeout_us ? left : timeout_us;
}

static unsigned events_of(uint32_t epoll_events)
{
    unsigned events = (epoll_events & EPOLLIN) ? IO_READ : 0u;
    return events | ((epoll_events & (EPOLLERR | EPOLLHUP)) ? IO_READ | IO_HUP : 0u);
}

void patient_turn(struct patient_set *p, int64_t patience_us, patient_hand_fn *hand)
{
    struct epoll_event ev[PATIENT_LOOK_MAX];
    int64_t now_us;
    int n = 0;
    if (p->look_us == 0 || (now_us = posix_now_us(NULL)) < p->look_us) {
        return;
    }
    if (p->n > 0) {
        n = epoll_wait(p->fd, ev, PATIENT_LOOK_MAX, 0);
        ASSERT(n >= 0 || errno == EINTR);
    }
    p->look_us = n > 0 ? now_us + patience_us : 0;
    if (n == PATIENT_LOOK_MAX) {
        p->look_us = now_us; /* there may be more */
    }
    p->found_n = n > 0 ? n : 0;
    for (int i = 0; i < p->found_n; i++) {
        p->found[i] = ev[i].data.ptr;
    }
    for (int i = 0; i < p->found_n; i++) {
        struct posix_sock *s = p->found[i];
        if (s != NULL && !hand(s, events_of(ev[i].events))) {
            patient_remove(p, s);
        }
    }
    p->found_n = 0;
}
