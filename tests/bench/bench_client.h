/*
 * A client of HTTP on a Unix socket that costs as little as one can: for the benches, where the
 * client's own work would else be measured. It is at home in bench programs alone: what fails ends
 * the program.
 */
#ifndef BATCHD_TESTS_BENCH_CLIENT_H
#define BATCHD_TESTS_BENCH_CLIENT_H

#include <stddef.h>
#include <stdint.h>

/* Monotonic, in seconds. */
double bench_now(void);
/* Says what the system said, and exits. */
__attribute__((noreturn)) void bench_fail(const char *what);
int bench_connect(const char *path);
void bench_send(int fd, const void *bytes, size_t size);
/*
 * Reads one answer with a Content-Length (of up to 64 KiB) to its end and returns its status; its
 * text stays until the next call.
 */
int bench_receive(int fd, const char **ret_text);

#endif
