#include "tools/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int failure; /* the errno of a write that failed; 0: none did, or it is not known */

void output_init(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) == -1) {
            /* The lowest that is free is this one. It takes what is said on standard error, and
             * fails at what is wanted of the others. */
            (void)open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_WRONLY);
        }
    }
}

bool output_flush(void)
{
    errno = 0;
    bool ok = fflush(stdout) == 0;
    failure = ok ? failure : errno;
    return ok && !ferror(stdout);
}

int output_end(const char *tool, int status)
{
    bool ok = output_flush();
    errno = 0;
    if (fclose(stdout) != 0 && ok) { /* some file systems say it last */
        ok = false;
        failure = errno;
    }
    if (ok) {
        return status;
    }
    if (failure == EPIPE) { /* the signal waits if this thread has blocked it for its sockets */
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    fprintf(stderr, "millrace %s: cannot write the output%s%s\n", tool, failure ? ": " : "",
            failure ? strerror(failure) : "");
    return status ? status : 1;
}
