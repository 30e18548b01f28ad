/* SPDX-License-Identifier: ISC */
/* Who listens on a unix socket, asked of the kernel: a wedged server cannot say it itself. */
#ifndef DAEMON_TMUX_LISTENER_H
#define DAEMON_TMUX_LISTENER_H

#include <sys/types.h>

/* 0: nobody, or a process of another user. */
pid_t tmux_listener(const char *socket);

#endif
