/* SPDX-License-Identifier: ISC */
/* Unix sockets: listening and connecting with checked paths, peer identity, descriptors. */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include <sys/socket.h>
#include <sys/types.h>

#include "base/err.h"

#define SOCK_PATH_MAX 107 /* sun_path holds 108 with its NUL */

/* All descriptors are close-on-exec; those returned for the loop are non-blocking. */
/* Binds and listens, mode as given, replacing a stale socket file (one nobody listens on). A socket
 * somebody listens on is ERR_EXISTS; a path that is too long ERR_LIMIT, with the limit named. */
int sock_listen(const char *path, mode_t mode, int *ret_fd, struct err *e);
/* Connects at once (unix sockets never take long); ERR_UNREACHABLE when nobody listens. */
int sock_connect(const char *path, int *ret_fd, struct err *e);
int sock_accept(int listen_fd); /* -1 with errno */
int sock_peer(int fd, struct ucred *ret, struct err *e);
int sock_path_check(const char *path, struct err *e);
/* One message of len bytes with nfds descriptors, over a blocking or non-blocking stream socket;
 * returns bytes or -1 with errno. */
ssize_t sock_send_fds(int fd, const void *data, size_t len, const int *fds, size_t nfds);
/* Receives up to *nfds descriptors (close-on-exec); *nfds becomes how many came. */
ssize_t sock_recv_fds(int fd, void *data, size_t len, int *fds, size_t *nfds);

#endif
