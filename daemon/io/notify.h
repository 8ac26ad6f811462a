/*
 * The service manager's side of the door: readiness, status, watchdog, and the sockets it holds
 * for us (sd_notify(3), sd_watchdog_enabled(3), sd_listen_fds(3)). Where no service manager
 * asked for it, every call does nothing. A message that cannot be delivered is no error of ours.
 */
#ifndef BATCHD_IO_NOTIFY_H
#define BATCHD_IO_NOTIFY_H

#include <stddef.h>
#include <stdint.h>

struct error;

/* The start, or a reload, is done. status is the line that people see; NULL leaves the last one. */
void notify_ready(const char *status);

/* The line that `systemctl status` shows. Control characters become blanks; cut at 200 bytes or so. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A stop has begun. */
void notify_stopping(void);

/* A reload has begun, at loop_monotonic_us; notify_ready ends it. */
void notify_reloading(int64_t monotonic_us);

/* Start or stop may take this much longer, counted from now. */
void notify_extend_timeout(uint64_t us);

/* A sign of life. */
void notify_watchdog(void);

/*
 * How often, in milliseconds, to give a sign of life: half of what the service manager waits
 * (WATCHDOG_USEC, if WATCHDOG_PID is this process), at least 1. 0: nobody asked for any.
 */
int64_t notify_watchdog_interval_ms(void);

/*
 * The listening sockets that were passed under FileDescriptorName= name, or all of them when
 * name is NULL, in the order of the socket unit; others are left alone. They are close-on-exec,
 * and the caller's, as is the array (NULL when there are none). A socket that is not a stream
 * socket that listens is -EINVAL, and nothing is returned.
 */
int notify_listen_fds(const char *name, int **ret_fds, size_t *ret_count, struct error *err);

#endif
