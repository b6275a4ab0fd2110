/* Tells the service manager, if one started this process, how the node is: the line that
 * `systemctl status` shows as Status. It is sd_notify's protocol (man 3 sd_notify), one datagram to
 * the socket that NOTIFY_SOCKET names.
 *
 * Only for people to read: nobody waits for it. A start does not wait for the node to be ready
 * (Type=exec in deploy/systemd), as a broker is not before its controllers are, and the first
 * controller not before the second: machines that boot together would wait for each other. */
#ifndef TOOLS_NOTIFY_H
#define TOOLS_NOTIFY_H

/* A line without control characters. Without a service manager, and where it does not take the
 * line, nothing happens. */
void notify_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
